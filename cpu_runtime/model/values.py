"""Names and other values that the memory dialogues are filled with.

There are many on purpose: with few values the model would learn the values, with many (and with
invented ones that never repeat) the only thing that pays is to copy from earlier in the dialogue.
"""

from __future__ import annotations

import random


def _words(text: str) -> list[str]:
    return text.split()


NAMES = _words("""
Aaron Abigail Ada Adam Agnes Aisha Alan Albert Alex Alexander Alfred Alice Alina Amanda Amelia Amir
Amy Ana Andrea Andrew Angela Anita Anke Anna Anne Anthony Anton Arjun Arthur Astrid Audrey August
Barbara Beatrice Ben Benjamin Bernard Bertha Betty Bianca Bill Bjorn Bob Boris Brenda Brian Bruno
Camille Carl Carla Carlos Carmen Carol Caroline Catherine Cecilia Charles Charlotte Chen Chloe Chris
Christina Christopher Clara Claire Colin Conrad Cornelia Craig Cynthia Daniel Daniela Daria David
Deborah Denis Derek Diana Diego Dirk Dmitri Dominic Donald Dora Doris Dorothy Douglas Edgar Edith
Edward Elena Eleanor Elias Elisa Elizabeth Ella Ellen Elsa Emil Emily Emma Eric Erika Ernest Esther
Eva Evan Evelyn Fabian Fatima Felix Fiona Florian Frances Francis Frank Fred Frederick Frida Gabriel
Gary Geneva George Gerald Gerda Gina Giovanni Gloria Gordon Grace Greta Gregory Gunther Gustav Hana
Hannah Hans Harold Harriet Harry Hassan Hazel Heather Hector Heidi Helen Helga Henry Herbert Hiroshi
Howard Hugo Ian Ibrahim Ida Igor Ines Ingrid Irene Iris Isaac Isabel Ivan Ivy Jack Jacob Jacques
James Jan Jane Janet Jason Jasmine Javier Jean Jeffrey Jennifer Jeremy Jessica Joan Joanna Johanna
John Jonas Jonathan Jorge Josef Joseph Joshua Juan Judith Julia Julian Julius Karen Karin Karl
Kate Katherine Keiko Keith Kenji Kevin Klaus Kurt Larry Lars Laura Lauren Lea Leah Lena Leo Leon
Leonard Leonie Liam Lily Linda Linus Lisa Lorenzo Louis Louise Lucas Lucia Lucy Ludwig Luis Luke
Lydia Magda Manuel Marcel Marco Marcus Margaret Maria Marian Marie Mario Mark Marta Martha Martin
Mary Matilda Matthew Maurice Max Maya Melanie Mia Michael Miguel Mila Milan Miriam Mohammed Mona
Monica Nadia Nancy Naomi Natalie Nathan Neil Nicholas Nicole Nils Nina Noah Nora Norman Olaf Oleg
Olga Oliver Olivia Omar Oscar Otto Pablo Pamela Patricia Patrick Paul Paula Pauline Pedro Peter
Petra Philip Pierre Priya Rachel Rafael Raj Ralph Ramona Raymond Rebecca Regina Rene Richard Rita
Robert Roger Roland Roman Rosa Rose Roy Rudolf Ruth Sabine Sally Sam Samuel Sandra Sara Sarah Sean
Sebastian Selma Sergei Sharon Simon Sofia Sonia Sophie Stefan Stella Stephen Steven Susan Sven
Sylvia Tamara Tanja Tara Teresa Theo Theodore Thomas Tim Timothy Tina Tobias Tom Tony Ulrich Ursula
Valentina Vera Veronica Victor Victoria Vincent Viola Virginia Walter Wanda Wei Wendy Werner William
Wolfgang Xavier Yasmin Yolanda Yuki Yusuf Yvonne Zoe
""")

COLOURS = _words("""
red blue green yellow orange purple black white grey brown pink violet turquoise silver gold beige
crimson indigo magenta maroon olive scarlet teal amber ivory copper lavender navy lime coral
""")

PLACES = _words("""
Amsterdam Athens Bangkok Barcelona Berlin Bern Bogota Boston Bremen Brussels Budapest Cairo Chicago
Copenhagen Dakar Delhi Dresden Dublin Florence Geneva Hamburg Hanoi Havana Helsinki Istanbul Jakarta
Kyoto Lagos Leipzig Lima Lisbon London Madrid Manila Melbourne Mexico Milan Montreal Moscow Munich
Nairobi Naples Oslo Ottawa Paris Perth Prague Quito Riga Rome Santiago Seoul Sofia Stockholm Sydney
Tallinn Tokyo Toronto Tunis Turin Vienna Vilnius Warsaw Zagreb Zurich
""")

THINGS = _words("""
apple bread butter cheese cherry coffee garlic honey lemon mango melon noodles olives onion pasta
peach pepper pizza potato rice salad salmon soup spinach sugar tea tomato walnut apricot banana
carrot fig ginger lentils mushroom nutmeg orange pear plum pumpkin raisins sesame anchor basket
bridge candle castle compass feather forest garden hammer island jacket kettle ladder lantern
mirror needle ocean pencil pillow river saddle shadow silver spoon thunder timber tunnel umbrella
valley violin wagon whistle window winter zebra
""")

_ONSETS = _words("b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh st t tr v w z")
_VOWELS = _words("a e i o u ai ea ia io ou")
_ENDS = ["", "", "l", "m", "n", "r", "s", "t", "x", "nd", "rk"]


def invented(rng: random.Random) -> str:
    """A capitalised word of two or three syllables that is nobody's name."""
    parts = [rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 2, 3)))]
    return ("".join(parts) + rng.choice(_ENDS)).capitalize()


def number(rng: random.Random) -> str:
    """A whole number, small ones more often."""
    return str(rng.randrange(10 ** rng.choice((1, 2, 2, 3, 4))))


# No training dialogue uses these names, so that asking for them measures copying.
HELD_OUT_NAMES = frozenset(NAMES[7::12])


def name(rng: random.Random, held_out: bool = False) -> str:
    """A person's name; one in three is invented so that none can be taken for granted."""
    if held_out:
        return rng.choice(sorted(HELD_OUT_NAMES))
    if rng.random() < 0.33:
        return invented(rng)
    while (choice := rng.choice(NAMES)) in HELD_OUT_NAMES:
        pass
    return choice
