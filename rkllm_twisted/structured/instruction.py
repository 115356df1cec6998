"""What a model is told of the form of its answer. Pure."""

from __future__ import annotations

from rkllm_twisted.structured.form import ANY_OBJECT, Form, form_of

_ANY = form_of("schema", ANY_OBJECT).text


def instruction(form: Form) -> str | None:
    """Return a sentence for the model; None for forms that models know nothing of."""
    match form.kind:
        case "schema" if form.text == _ANY:
            return "Answer with a JSON object and nothing else."
        case "schema":
            return f"Answer with JSON and nothing else. Its JSON schema is:\n{form.text}"
        case "choices":
            return f"Answer with one of these texts and nothing else: {form.text[1:-1]}"
        case _:
            return None
