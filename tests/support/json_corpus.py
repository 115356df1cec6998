"""JSON texts and the result of parsing each: data for test_json_corpus.py.

RFC 8259 says which are JSON. Where it leaves a choice to the parser, docs/wire.md says what is
chosen. Each text is one value, unless its table says otherwise.
"""

from __future__ import annotations

#: Depth of what stands inside ``{… "params": […]}`` when the whole is as deep as it may be.
DEEPEST = 62
#: How many of the strings and containers of a message its own frame takes up.
FRAME_STRINGS, FRAME_CONTAINERS = 6, 2


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]", core: bytes = b"") -> bytes:
    """Nested arrays, or other nested brackets, of a given depth."""
    return opening * levels + core + closing * levels


def nested_value(levels: int, core: object = None) -> object:
    """The value of arrays in each other; without a core the innermost is empty."""
    value: object = [] if core is None else [core]
    for _ in range(levels - 1):
        value = [value]
    return value


_LITERALS = {
    "true": (b"true", True),
    "false": (b"false", False),
    "null": (b"null", None),
    "literals side by side": (b"[true,false,null]", [True, False, None]),
}

_INTEGERS = [
    (b"0", 0), (b"7", 7), (b"-1", -1), (b"10", 10), (b"-90", -90), (b"100200300", 100200300),
    (b"127", 127), (b"-128", -128), (b"65536", 65536), (b"2147483647", 2**31 - 1),
    (b"-2147483648", -(2**31)), (b"4294967296", 2**32), (b"9007199254740991", 2**53 - 1),
]  # fmt: skip

_FRACTIONS = [
    (b"0.0", 0.0), (b"0.5", 0.5), (b"-0.25", -0.25), (b"3.125", 3.125), (b"10.010", 10.01),
    (b"0.1", 0.1), (b"1.0000", 1.0), (b"-273.15", -273.15), (b"0.000001", 1e-6),
    (b"1e1", 10.0), (b"1E1", 10.0), (b"2e+3", 2000.0), (b"2E-3", 0.002), (b"0e0", 0.0),
    (b"0E+5", 0.0), (b"1e00", 1.0), (b"1e007", 1e7), (b"-4.5e-06", -4.5e-6), (b"6.25E2", 625.0),
    (b"9.9e+01", 99.0), (b"0.0e-1", 0.0), (b"12345.6789e-4", 1.23456789), (b"1e22", 1e22),
    (b"1e23", 1e23), (b"1e-5", 1e-5),
]  # fmt: skip

_STRINGS = {
    "empty": (b'""', ""),
    "one letter": (b'"a"', "a"),
    "a space": (b'" "', " "),
    "spaces around": (b'"  mid  "', "  mid  "),
    "digits": (b'"0123"', "0123"),
    "a literal's name": (b'"null"', "null"),
    "brackets": (b'"]}[{"', "]}[{"),
    "colons and commas": (b'":,:,"', ":,:,"),
    "an apostrophe": (b'"it\'s"', "it's"),
    "a slash": (b'"a/b"', "a/b"),
    "what looks like comments": (b'"/* no */ // no # no"', "/* no */ // no # no"),
    "DEL": (b'"\x7f"', "\x7f"),
    "escaped quote": (rb'"\""', '"'),
    "escaped backslash": (rb'"\\"', "\\"),
    "escaped slash": (rb'"\/"', "/"),
    "escaped backspace": (rb'"\b"', "\b"),
    "escaped form feed": (rb'"\f"', "\f"),
    "escaped newline": (rb'"\n"', "\n"),
    "escaped carriage return": (rb'"\r"', "\r"),
    "escaped tab": (rb'"\t"', "\t"),
    "all short escapes": (rb'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
    "backslashes, even": (rb'"\\\\\\\\"', "\\\\\\\\"),
    "backslashes and a quote": (rb'"\\\\\""', '\\\\"'),
    "backslash before n": (rb'"\\n"', "\\n"),
    "backslash before u": (rb'"\\u0041"', "\\u0041"),
    "escaped letter": (rb'"\u0041"', "A"),
    "escape in capitals": (rb'"\u00C5\u00DF"', "Åß"),
    "escape in small letters": (rb'"\u00e5\u00df"', "åß"),
    "escape in both": (rb'"\u20aC"', "€"),
    "escaped quote by number": (rb'"\u0022"', '"'),
    "escaped backslash by number": (rb'"\u005c"', "\\"),
    "five digits after an escape's four": (rb'"\u00410"', "A0"),
    "escaped pair": (rb'"\ud83e\udd80"', "🦀"),
    "escaped pair in capitals": (rb'"\uD83E\uDD80"', "🦀"),
    "two pairs": (rb'"\ud83e\udd80\ud83d\udc27"', "🦀🐧"),
    "first pair there is": (rb'"\ud800\udc00"', "\U00010000"),
    "last pair there is": (rb'"\udbff\udfff"', "\U0010ffff"),
    "last before the surrogates": (rb'"\ud7ff"', "\ud7ff"),
    "first after the surrogates": (rb'"\ue000"', "\ue000"),
    "UTF-8 of two bytes": ('"søster"'.encode(), "søster"),
    "UTF-8 of three bytes": ('"船が出る"'.encode(), "船が出る"),
    "UTF-8 of four bytes": ('"🛶🌊"'.encode(), "🛶🌊"),
    "UTF-8, the least of two bytes": (b'"\xc2\x80"', "\x80"),
    "UTF-8, the most of two bytes": (b'"\xdf\xbf"', "\u07ff"),
    "UTF-8, the least of three bytes": (b'"\xe0\xa0\x80"', "\u0800"),
    "UTF-8, before the surrogates": (b'"\xed\x9f\xbf"', "\ud7ff"),
    "UTF-8, after the surrogates": (b'"\xee\x80\x80"', "\ue000"),
    "UTF-8, the least of four bytes": (b'"\xf0\x90\x80\x80"', "\U00010000"),
    "UTF-8, the most of four bytes": (b'"\xf4\x8f\xbf\xbf"', "\U0010ffff"),
    "line and paragraph separators": (b'"\xe2\x80\xa8\xe2\x80\xa9"', "\u2028\u2029"),
    "next line": (b'"\xc2\x85"', "\x85"),
    "no-break space": (b'"\xc2\xa0"', "\xa0"),
    "combining marks": ('"e\u0301"'.encode(), "e\u0301"),
    "right to left": ('"שלום"'.encode(), "שלום"),
    "joined emoji": ('"👩\u200d🚀"'.encode(), "👩\u200d🚀"),
    "escapes between characters": (rb'"\u00e9 and ' + 'é"'.encode(), "é and é"),
    "long": (b'"' + b"ab" * 50_000 + b'"', "ab" * 50_000),
    "long, of escapes": (b'"' + rb"\n\u0041" * 10_000 + b'"', "\nA" * 10_000),
    "long, of wide characters": (b'"' + "🐧".encode() * 20_000 + b'"', "🐧" * 20_000),
}

_ARRAYS = {
    "empty": (b"[]", []),
    "one": (b"[1]", [1]),
    "of all kinds": (b'[null,true,0,0.5,"s",[],{}]', [None, True, 0, 0.5, "s", [], {}]),
    "in an array": (b"[[],[[]],[[[]]]]", [[], [[]], [[[]]]]),
    "of empty strings": (b'["","",""]', ["", "", ""]),
    "of objects": (b'[{"n":1},{"n":2}]', [{"n": 1}, {"n": 2}]),
    "of negative numbers": (b"[-1,-2.5,-3e0]", [-1, -2.5, -3.0]),
    "long": (b"[%b]" % b",".join([b"8"] * 30_000), [8] * 30_000),
}

_OBJECTS = {
    "empty": (b"{}", {}),
    "one": (b'{"k":"v"}', {"k": "v"}),
    "of all kinds": (
        b'{"a":null,"b":false,"c":-1,"d":1.5,"e":"","f":[],"g":{}}',
        {"a": None, "b": False, "c": -1, "d": 1.5, "e": "", "f": [], "g": {}},
    ),
    "empty name": (b'{"":0}', {"": 0}),
    "a space as name": (b'{" ":0}', {" ": 0}),
    "name with escapes": (rb'{"\u006e\t\"":1}', {'n\t"': 1}),
    "name with a colon": (b'{"a:b":":"}', {"a:b": ":"}),
    "name of wide characters": ('{"ключ🔑":1}'.encode(), {"ключ🔑": 1}),
    "name with a NUL": (rb'{"a\u0000b":1,"a":2}', {"a\0b": 1, "a": 2}),
    "names in other case": (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
    "names that only look alike": ('{"é":1,"e\u0301":2}'.encode(), {"é": 1, "e\u0301": 2}),
    "names that begin alike": (b'{"a":1,"aa":2,"":3}', {"a": 1, "aa": 2, "": 3}),
    "one name in two objects": (b'[{"k":1},{"k":2}]', [{"k": 1}, {"k": 2}]),
    "one name inside and outside": (b'{"k":{"k":{"k":0}}}', {"k": {"k": {"k": 0}}}),
    "a name as its value": (b'{"k":"k","l":"k"}', {"k": "k", "l": "k"}),
    "Python's names": (
        b'{"__class__":"x","__proto__":null,"self":1}',
        {"__class__": "x", "__proto__": None, "self": 1},
    ),
    "many members": (
        b"{%b}" % b",".join(b'"m%d":%d' % (i, i) for i in range(5000)),
        {f"m{i}": i for i in range(5000)},
    ),
    "long name": (b'{"%b":1}' % (b"n" * 70_000), {"n" * 70_000: 1}),
}

_WHITE_SPACE = {
    "spaces": (b"  [ 1 ,  2 ]  ", [1, 2]),
    "tabs": (b"\t[\t1\t,\t2\t]\t", [1, 2]),
    "newlines": (b"\n[\n1\n,\n2\n]\n", [1, 2]),
    "carriage returns": (b"\r[\r1\r,\r2\r]\r", [1, 2]),
    "all four": (b' \t\r\n{ \t\r\n"a" \t\r\n: \t\r\n0 \t\r\n} \t\r\n', {"a": 0}),
    "in an empty array": (b"[ \n ]", []),
    "in an empty object": (b"{\t\r}", {}),
    "around a string": (b' "s" ', "s"),
    "around a number": (b"\n-1\t", -1),
    "around a literal": (b"\r\nnull\r\n", None),
    "none": (b'[{"a":[{}]},[]]', [{"a": [{}]}, []]),
    "much": (b"[" + b" \n" * 40_000 + b"]", []),
}

#: JSON by the RFC's grammar, with no choice left: name -> text, and the value by hand.
ACCEPT: dict[str, tuple[bytes, object]] = {
    **_LITERALS,
    **{f"number {text.decode()}": (text, value) for text, value in _INTEGERS + _FRACTIONS},
    **{f"string: {name}": case for name, case in _STRINGS.items()},
    **{f"string: U+{c:04X} escaped": (b'"\\u%04x"' % c, chr(c)) for c in range(0x20)},
    **{f"array: {name}": case for name, case in _ARRAYS.items()},
    **{f"object: {name}": case for name, case in _OBJECTS.items()},
    **{f"white space: {name}": case for name, case in _WHITE_SPACE.items()},
}

_NOT_NUMBERS = [
    b"+1", b"+0", b"--1", b"-+1", b"-", b"+", b"- 1", b"-a", b".", b".5", b"-.5", b"5.", b"-5.",
    b"0.", b"1.e1", b".e1", b"e1", b"1e", b"1e+", b"1e-", b"1E", b"1e1.5", b"1e1e1", b"1ee1",
    b"1e +1", b"1 e1", b"1. 5", b"1.2.3", b"1..2", b"00", b"01", b"-01", b"007", b"-00", b"00.5",
    b"0e", b"0e+", b"0x1F", b"0X1f", b"x1", b"1f", b"0b101", b"0o17", b"1_000", b"1'000", b"1 000",
    b"1.5f", b"2L", b"10n", b"NaN", b"nan", b"-NaN", b"+NaN", b"Infinity", b"-Infinity", b"inf",
    b"-inf", b"+Infinity", b"1/2", b"1+1", b"$1", b"1%", b"(1)", b"1-", b"-1-1", b"0-1",
    "１".encode(), "٣".encode(), "½".encode(), "−1".encode(), "∞".encode(),
]  # fmt: skip

_NOT_LITERALS = [
    b"True", b"TRUE", b"False", b"FALSE", b"Null", b"NULL", b"None", b"nil", b"undefined", b"yes",
    b"tru", b"fals", b"nul", b"n", b"t", b"truee", b"nulll", b"true1", b"nulltrue", b"t rue",
    b"null0", b"abc", b"a b", b"-true", b"!true", b"void 0", b"*", b"?", b"@", b"=", b"~", b"\\",
    "trüe".encode(),
]  # fmt: skip

_NOT_STRINGS = {
    "single quotes": b"'a'",
    "single quotes, then double": b"'a\"",
    "back quotes": b"`a`",
    "typographic quotes": "“a”".encode(),
    "not ended": b'"a',
    "a quote alone": b'"',
    "three quotes": b'"""',
    "quote inside": b'"a"b"',
    "not begun": b'a"',
    "ended by an escaped quote": rb'"a\"',
    "ended by a backslash": b'"a\\',
    "two side by side": b'"a" "b"',
    "added": b'"a"+"b"',
    "raw prefix": b'r"a"',
    "bytes prefix": b'b"a"',
    "escape v": rb'"\v"',
    "escape a": rb'"\a"',
    "escape 0": rb'"\0"',
    "escape in octal": rb'"\101"',
    "escape x": rb'"\x41"',
    "escape of an apostrophe": rb'"\'"',
    "escape e": rb'"\e"',
    "escape U": rb'"\U0041"',
    "escape U of eight digits": rb'"\U0001F980"',
    "escape N": rb'"\N"',
    "escape T": rb'"\T"',
    "escape of a space": rb'"\ "',
    "escape of a newline": b'"a\\\nb"',
    "escape of a tab": b'"\\\t"',
    "escape of a NUL": b'"\\\x00"',
    "escape of a wide character": b'"\\\xc3\xa9"',
    "escape u without digits": rb'"\u"',
    "escape u, one digit": rb'"\u1"',
    "escape u, two digits": rb'"\u12"',
    "escape u, three digits": rb'"\u123"',
    "escape u, three digits and a letter": rb'"\u123g"',
    "escape u, a letter first": rb'"\uz123"',
    "escape u with a sign": rb'"\u+041"',
    "escape u with a minus": rb'"\u-041"',
    "escape u with a space": rb'"\u 041"',
    "escape u with an underscore": rb'"\u0_41"',
    "escape u in braces": rb'"\u{1f980}"',
    "escape u with x": rb'"\u0x41"',
    "escape u with wide digits": '"\\u００４１"'.encode(),
    "half a pair, then a broken escape": rb'"\ud83e\u12"',
    "half a pair, then the end": rb'"\ud83e\u',
    "half a pair and a comma too many": rb'["\ud83e",]',
    "escape outside": rb"\"a\"",
    "escape u outside": rb"\u0041",
    "escaped opening quote by number": rb"\u0022a\u0022",
}

_NOT_ARRAYS = {
    "not ended": b"[1",
    "not ended, empty": b"[",
    "not ended, after a comma": b"[1,",
    "not begun": b"1]",
    "ended twice": b"[1]]",
    "begun twice": b"[[1]",
    "ended as an object": b"[1}",
    "ended as a tuple": b"[1)",
    "a tuple": b"(1,2)",
    "a comma at the end": b"[1,]",
    "two commas at the end": b"[1,,]",
    "a comma at the beginning": b"[,1]",
    "a comma only": b"[,]",
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "no comma between strings": b'["a" "b"]',
    "no comma between arrays": b"[[][]]",
    "no comma between objects": b"[{}{}]",
    "semicolons": b"[1;2]",
    "a colon": b"[1:2]",
    "a name": b'["a":1]',
    "dots": b"[1,...]",
    "a range": b"[1..2]",
    "a bare word": b"[a]",
    "wide brackets": "［1］".encode(),
    "a wide comma": "[1，2]".encode(),
    "a slash": b"[1/]",
    "a cut string": b'["a]',
    "a comma after it": b"[1],",
    "a length": b"[1]*2",
    "angle brackets": b"<1,2>",
}

_NOT_OBJECTS = {
    "not ended": b'{"a":1',
    "not ended, empty": b"{",
    "not ended, after a comma": b'{"a":1,',
    "not begun": b'"a":1}',
    "ended twice": b'{"a":1}}',
    "ended as an array": b'{"a":1]',
    "empty, ended as an array": b"{]",
    "a comma at the end": b'{"a":1,}',
    "two commas at the end": b'{"a":1,,}',
    "a comma at the beginning": b'{,"a":1}',
    "a comma only": b"{,}",
    "two commas": b'{"a":1,,"b":2}',
    "no comma": b'{"a":1 "b":2}',
    "semicolon": b'{"a":1;"b":2}',
    "no colon": b'{"a" 1}',
    "two colons": b'{"a"::1}',
    "an equals sign": b'{"a"=1}',
    "an arrow": b'{"a"=>1}',
    "a comma for the colon": b'{"a",1}',
    "no value": b'{"a":}',
    "no value before a comma": b'{"a":,"b":1}',
    "no value, no colon": b'{"a"}',
    "no name": b"{:1}",
    "a value only": b"{1}",
    "bare name": b"{a:1}",
    "name in single quotes": b"{'a':1}",
    "number as name": b"{1:1}",
    "literal as name": b"{null:1}",
    "array as name": b"{[]:1}",
    "object as name": b"{{}:1}",
    "two values": b'{"a":1 2}',
    "two names": b'{"a":"b":1}',
    "a name not ended": b'{"a:1}',
    "spread": b'{..."a"}',
    "a wide colon": '{"a"：1}'.encode(),
    "a comma after it": b'{"a":1},',
    "an escape for the colon": rb'{"a"\u003a1}',
}

_NOT_WHITE_SPACE = {
    "form feed": b"[\x0c1]",
    "vertical tab": b"[\x0b1]",
    "NUL": b"[\x001]",
    "backspace": b"[\x081]",
    "file separator": b"[\x1c1]",
    "unit separator": b"[1\x1f]",
    "DEL": b"[\x7f1]",
    "no-break space": b"[\xc2\xa01]",
    "next line": b"[\xc2\x851]",
    "en space": "[\u20021]".encode(),
    "zero width space": "[\u200b1]".encode(),
    "line separator": "[1\u2028]".encode(),
    "paragraph separator": "[1\u2029]".encode(),
    "ideographic space": "[1\u3000]".encode(),
    "word joiner": "[\u20601]".encode(),
    "byte order mark inside": b"[\xef\xbb\xbf1]",
    "byte order mark behind": b"[1]\xef\xbb\xbf",
    "NUL behind": b"[1]\x00",
    "end of file behind": b"[1]\x1a",
    "form feed before": b"\x0c1",
    "escaped": rb"[\n1]",
    "escaped by number": rb"[\u0020]",
}

_COMMENTS_AND_MORE = {
    "comment, C": b"/* c */1",
    "comment, C, behind": b"[1/* c */]",
    "comment, C, not ended": b"1/* c",
    "comment, C++": b"1// c",
    "comment, C++, with newline": b"[1,// c\n2]",
    "comment, shell": b"1# c",
    "comment, SQL": b"1-- c",
    "comment, HTML": b"<!-- c -->1",
    "comment, Lisp": b"1; c",
    "two values": b"1 2",
    "two arrays": b"[][]",
    "two objects": b"{}{}",
    "two objects, a line each": b"{}\n{}",
    "a call": b"f(1)",
    "a prefix": b")]}',[1]",
    "a closing brace more": b"1}",
    "a date": b"2026-01-31",
    "a regular expression": b"/a/",
    "markup": b"<a/>",
    "YAML": b"- 1\n- 2",
    "Python": b"{'a': None}",
    "a template": b"{{a}}",
    "an assignment": b"a=1",
    "a netstring": b"1:1,",
}

_BAD_UTF8 = {
    "a byte that is never there": b"\xff",
    "the other such byte": b"\xfe",
    "a continuation alone": b"\x80",
    "the last continuation alone": b"\xbf",
    "continuations only": b"\x80\xbf\x80",
    "a lead of two, nothing": b"\xc3",
    "a lead of two, a letter": b"\xc3a",
    "a lead of three, nothing": b"\xe2",
    "a lead of three, one of two": b"\xe2\x82",
    "a lead of three, one and a letter": b"\xe2\x82a",
    "a lead of four, nothing": b"\xf0",
    "a lead of four, one of three": b"\xf0\x9f",
    "a lead of four, two of three": b"\xf0\x9f\x90",
    "a lead of five": b"\xf8\x88\x80\x80\x80",
    "a lead of six": b"\xfc\x84\x80\x80\x80\x80",
    "one continuation too many": b"\xc3\xa9\xa9",
    "overlong NUL": b"\xc0\x80",
    "overlong slash in two": b"\xc0\xaf",
    "overlong letter in two": b"\xc1\x81",
    "overlong quote in two": b"\xc0\xa2",
    "overlong slash in three": b"\xe0\x80\xaf",
    "overlong U+07FF in three": b"\xe0\x9f\xbf",
    "overlong slash in four": b"\xf0\x80\x80\xaf",
    "overlong U+FFFF in four": b"\xf0\x8f\xbf\xbf",
    "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbe\xed\xb6\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "far beyond U+10FFFF": b"\xf7\xbf\xbf\xbf",
    "Latin-1": "naïve".encode("latin-1"),
    "Shift JIS": "船".encode("shift_jis"),
}

#: Not JSON, wherever a value may stand: name -> text.
REFUSE: dict[str, bytes] = {
    **{f"number {text.decode()}": text for text in _NOT_NUMBERS},
    **{f"literal {text.decode()}": text for text in _NOT_LITERALS},
    **{f"string: {name}": text for name, text in _NOT_STRINGS.items()},
    **{f"string: U+{c:04X} as it is": b'"a%cb"' % c for c in range(0x20)},
    "name with a newline as it is": b'{"a\nb":1}',
    "name with a NUL as it is": b'{"\x00":1}',
    "name with an escape v": rb'{"\v":1}',
    **{f"array: {name}": text for name, text in _NOT_ARRAYS.items()},
    **{f"object: {name}": text for name, text in _NOT_OBJECTS.items()},
    **{f"white space: {name}": text for name, text in _NOT_WHITE_SPACE.items()},
    **_COMMENTS_AND_MORE,
    **{f"UTF-8: {name}": b'"%b"' % text for name, text in _BAD_UTF8.items()},
    **{f"UTF-8 in a name: {name}": b'{"%b":1}' % text for name, text in _BAD_UTF8.items()},
    "UTF-8 outside strings": b"[1\xff]",
    "UTF-8, overlong brackets": b"\xc1\x9b\xc1\x9d",
}

#: Not JSON where they are all that there is; between brackets some of them would be.
REFUSE_ALONE: dict[str, bytes] = {
    "nothing": b"",
    "a space": b" ",
    "all white space": b" \t\r\n \n",
    "a NUL": b"\x00",
    "a comma": b",",
    "a colon": b":",
    "a closing bracket": b"]",
    "a closing brace": b"}",
    "two numbers with a comma": b"1,2",
    "two arrays with a comma": b"[],[]",
    "two objects with a comma": b"{},{}",
    "members without an object": b'"a":1,"b":2',
    "brackets inside out": b"][",
    "braces inside out": b"}{",
    "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
}

#: Every proper beginning of it is refused.
TRUNCATED = rb' { "k\u00e9" : [ -1.5e+3 , true , null , { } , [ "\ud83e\udd80\\" ] ] }'

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS = -32700, -32600, -32602

_ANY_NUMBER = {
    "number -0": (b"-0", 0),
    "number -0.0": (b"-0.0", -0.0),
    "number -0e0": (b"-0e0", -0.0),
    "2 to the 53rd and 1": (b"9007199254740993", 2**53 + 1),
    "2 to the 63rd": (b"9223372036854775808", 2**63),
    "-2 to the 63rd": (b"-9223372036854775808", -(2**63)),
    "-2 to the 63rd less 1": (b"-9223372036854775809", -(2**63) - 1),
    "2 to the 64th less 1": (b"18446744073709551615", 2**64 - 1),
    "2 to the 64th": (b"18446744073709551616", 2**64),
    "2 to the 128th": (b"340282366920938463463374607431768211456", 2**128),
    "309 nines": (b"9" * 309, 10**309 - 1),
    "4,300 digits": (b"1" + b"0" * 4299, 10**4299),
    "4,299 digits and a minus": (b"-1" + b"0" * 4298, -(10**4298)),
    "more digits than a double has": (b"0.1000000000000000055511151231257827", 0.1),
    "a tie between two doubles": (b"9007199254740993.0", 9007199254740992.0),
    "just above a tie": (b"9007199254740993.00000000000000000000001", 9007199254740994.0),
    "a hard one to round": (b"2.2250738585072011e-308", 2.225073858507201e-308),
    "2 to the 64th as a fraction": (b"18446744073709551616.0", 2.0**64),
    "the largest double": (b"1.7976931348623157e308", 1.7976931348623157e308),
    "the largest that rounds down": (b"1.7976931348623158e308", 1.7976931348623157e308),
    "the least normal double": (b"2.2250738585072014e-308", 2.2250738585072014e-308),
    "the least double": (b"5e-324", 5e-324),
    "half of the least double": (b"2e-324", 0.0),
    "far too small": (b"1e-400", 0.0),
    "far too small and negative": (b"-1e-400", -0.0),
    "exponent of many digits": (b"1e-99999999999999999999", 0.0),
    "zero with a huge exponent": (b"0e99999999999999999999", 0.0),
    "exponent with many zeros": (b"1e" + b"0" * 300 + b"2", 100.0),
    "400 zeros and as small an exponent": (b"1" + b"0" * 400 + b"e-400", 1.0),
    "400 zeros behind the point": (b"0." + b"0" * 400 + b"1e401", 1.0),
    "5,000 digits behind the point": (b"0.5" + b"0" * 5000, 0.5),
}

_ANY_STRING = {
    "U+0000 between letters": (rb'"a\u0000b"', "a\0b"),
    "noncharacter U+FFFF": (b'"\xef\xbf\xbf"', "\uffff"),
    "noncharacter U+FFFE": (b'"\xef\xbf\xbe"', "\ufffe"),
    "noncharacter U+FDD0": (b'"\xef\xb7\x90"', "\ufdd0"),
    "noncharacter U+1FFFF": (b'"\xf0\x9f\xbf\xbf"', "\U0001ffff"),
    "noncharacter U+10FFFE": (b'"\xf4\x8f\xbf\xbe"', "\U0010fffe"),
    "noncharacter escaped": (rb'"\uffff\ufffe"', "\uffff\ufffe"),
    "noncharacter as an escaped pair": (rb'"\ud83f\udfff"', "\U0001ffff"),
    "noncharacter in a name": (b'{"\xef\xbf\xbf":1}', {"\uffff": 1}),
    "byte order mark in a string": (b'"\xef\xbb\xbf"', "\ufeff"),
    "byte order mark escaped": (rb'"\ufeff"', "\ufeff"),
    "replacement character": (b'"\xef\xbf\xbd"', "\ufffd"),
    "unassigned character": (b'"\xcd\xb8"', "\u0378"),
    "private character": (b'"\xee\x80\x81"', "\ue001"),
}

_SIZES = {
    "deepest arrays": (nested(DEEPEST), nested_value(DEEPEST)),
    "deepest arrays, a number inside": (nested(DEEPEST, core=b"1"), nested_value(DEEPEST, 1)),
    "deepest arrays, white space": (nested(DEEPEST, b"[ ", b" ]"), nested_value(DEEPEST)),
    "deepest, a string of brackets": (
        nested(DEEPEST, core=b'"[[{{"'),
        nested_value(DEEPEST, "[[{{"),
    ),
    "1,000 brackets in a string": (b'"%b"' % (b"[" * 1000), "[" * 1000),
    "1,000 brackets after an escaped quote": (rb'"\"%b"' % (b"{" * 1000), '"' + "{" * 1000),
    "1,000 arrays side by side": (b"[%b]" % b",".join([b"[]"] * 1000), [[]] * 1000),
    "as many arrays as there may be": (
        b"[%b]" % b",".join([b"[]"] * (99_999 - FRAME_CONTAINERS)),
        [[]] * (99_999 - FRAME_CONTAINERS),
    ),
    "as many strings as there may be": (
        b"[%b]" % b",".join([b'""'] * (200_000 - FRAME_STRINGS)),
        [""] * (200_000 - FRAME_STRINGS),
    ),
}

#: Texts that the RFC leaves to the parser and that this one accepts: name -> text and value.
OPEN_ACCEPT: dict[str, tuple[bytes, object]] = {**_ANY_NUMBER, **_ANY_STRING, **_SIZES}

_HALVES = {
    "first half": rb'"\ud83e"',
    "second half": rb'"\udd80"',
    "first half in capitals": rb'"\uD83E"',
    "least half": rb'"\ud800"',
    "last first half": rb'"\udbff"',
    "first second half": rb'"\udc00"',
    "last half": rb'"\udfff"',
    "first half and a letter": rb'"\ud83ea"',
    "first half and a short escape": rb'"\ud83e\n"',
    "first half and an escaped letter": rb'"\ud83e\u0041"',
    "first half and an escaped backslash": rb'"\ud83e\\udd80"',
    "first half twice": rb'"\ud83e\ud83e"',
    "first half twice, then the second": rb'"\ud83e\ud83e\udd80"',
    "second half twice": rb'"\udd80\udd80"',
    "halves in the wrong order": rb'"\udd80\ud83e"',
    "halves with a space between": rb'"\ud83e \udd80"',
    "half after a pair": rb'"\ud83e\udd80\udd80"',
    "half before a pair": rb'"\udd80\ud83e\udd80"',
    "half after an escaped backslash": rb'"\\\ud83e"',
    "half in a name": rb'{"\ud83e":1}',
    "halves in two names": rb'{"\ud83e":1,"\ud83d":2}',
    "half in a name beside a replacement character": rb'{"\ud83e":1,"\ufffd":2}',
    "halves in an array": rb'["\ud83e","\udd80"]',
}

_DUPLICATES = {
    "same value": b'{"a":1,"a":1}',
    "other value": b'{"a":1,"a":2}',
    "three times": b'{"a":1,"a":1,"a":1}',
    "not side by side": b'{"a":1,"b":{"a":2},"a":3}',
    "empty": b'{"":1,"":2}',
    "with space before the colon": b'{"a" :1,"a"\n:2}',
    "one escaped": rb'{"a":1,"\u0061":2}',
    "both escaped": rb'{"\u0061":1,"\u0061":2}',
    "escaped in capitals and not": rb'{"\u00C5":1,"\u00c5":2}',
    "a slash, escaped and not": rb'{"a/b":1,"a\/b":2}',
    "a newline, in two escapes": rb'{"\n":1,"\u000a":2}',
    "a pair, escaped and not": rb'{"\ud83e\udd80":1,"' + '🦀":2}'.encode(),
    "a NUL": rb'{"\u0000":1,"\u0000":2}',
    "with quotes": rb'{"\"":1,"\"":2}',
    "with backslashes": rb'{"\\":1,"\\":2}',
    "with brackets": b'{"}{":1,"}{":2}',
    "deep down": b'{"x":[[[{"y":0,"y":0}]]]}',
    "in the second object": b'[{"a":1},{"a":1,"a":1}]',
    "wide": '{"船":1,"船":2}'.encode(),
    "long": b'{"%b":1,"%b":2}' % (b"n" * 70_000, b"n" * 70_000),
    "around a long string": b'{"a":"%b","a":2}' % (b"s" * 200_000),
}

_BEYOND = {
    "number 1e309": b"1e309",
    "number -1e309": b"-1e309",
    "number 1e400": b"1e400",
    "number 1e99999999999999999999": b"1e99999999999999999999",
    "the least that rounds to infinity": b"1.7976931348623159e308",
    "twice the largest double": b"3.5953862697246314e308",
    "400 digits and a fraction": b"1" * 400 + b".0",
    "400 digits and an exponent": b"1" * 400 + b"e0",
    "4,301 digits": b"1" + b"0" * 4300,
    "4,300 digits and a minus": b"-1" + b"0" * 4299,
    "4,301 digits in a name's value": b'{"a":%b}' % (b"7" * 4301),
    "a level too deep": nested(DEEPEST + 1),
    "a level too deep, objects": nested(DEEPEST, b'{"a":', b"}", b"{}"),
    "a level too deep, in turns": nested(DEEPEST // 2, b'[{"a":', b"}]", b"[]"),
    "a level too deep, beside others": b"[[],%b,{}]" % nested(DEEPEST),
    "1,000 levels": nested(1000),
    "100,000 levels": nested(100_000),
    "too many arrays": b"[%b]" % b",".join([b"[]"] * (100_000 - FRAME_CONTAINERS)),
    "too many objects": b"[%b]" % b",".join([b"{}"] * (100_000 - FRAME_CONTAINERS)),
    "too many strings": b"[%b]" % b",".join([b'""'] * (200_001 - FRAME_STRINGS)),
}

#: Texts that the RFC leaves to the parser and that this one refuses: name -> text and code.
OPEN_REFUSE: dict[str, tuple[bytes, int]] = {
    **{f"surrogate: {name}": (text, INVALID_PARAMS) for name, text in _HALVES.items()},
    **{f"name twice: {name}": (text, INVALID_REQUEST) for name, text in _DUPLICATES.items()},
    **{name: (text, PARSE_ERROR) for name, text in _BEYOND.items()},
}

_HALF_IN_PARAMS = rb'{"jsonrpc":"2.0","id":7,"method":"echo","params":["\ud83e"%b]}'

#: Whole messages with half a surrogate pair: name -> message, code, id of the answer.
HALVES_ELSEWHERE: dict[str, tuple[bytes, int, object]] = {
    "in the id": (rb'{"jsonrpc":"2.0","id":"\ud83e","method":"echo"}', PARSE_ERROR, None),
    "in the method": (rb'{"jsonrpc":"2.0","id":7,"method":"\ud83e"}', INVALID_PARAMS, 7),
    "in the version": (rb'{"jsonrpc":"\ud83e","id":7,"method":"echo"}', INVALID_PARAMS, 7),
    "in a member that means nothing": (
        rb'{"jsonrpc":"2.0","id":7,"method":"echo","more":"\ud83e"}',
        INVALID_PARAMS,
        7,
    ),
    "in a notification": (
        rb'{"jsonrpc":"2.0","method":"echo","params":["\ud83e"]}',
        PARSE_ERROR,
        None,
    ),
    "in a batch": (b"[%b]" % (_HALF_IN_PARAMS % b""), PARSE_ERROR, None),
    "in a message without a call": (b'["\\ud83e"]', PARSE_ERROR, None),
    "with two ids": (
        rb'{"jsonrpc":"2.0","id":7,"id":8,"method":"echo","params":["\ud83e"]}',
        PARSE_ERROR,
        None,
    ),
    "in 200 KiB": (_HALF_IN_PARAMS % (b" " * 200 * 1024), INVALID_PARAMS, 7),
    "in 300 KiB": (_HALF_IN_PARAMS % (b" " * 300 * 1024), PARSE_ERROR, None),
}

#: Encodings that a whole message may come in and that are not taken: its text is ASCII.
OTHER_ENCODINGS = {
    "byte order mark": "utf-8-sig",
    "UTF-16 with its mark": "utf-16",
    "UTF-16, little end first": "utf-16-le",
    "UTF-16, big end first": "utf-16-be",
    "UTF-32 with its mark": "utf-32",
    "UTF-32, little end first": "utf-32-le",
    "UTF-32, big end first": "utf-32-be",
    "EBCDIC": "cp500",
}
