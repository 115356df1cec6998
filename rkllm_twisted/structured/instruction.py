"""What a model is told of the form of its answer. Pure."""

from __future__ import annotations

from rkllm_twisted.structured.form import ANY_OBJECT, Form, form_of

_ANY = form_of("schema", ANY_OBJECT).text


#: Stands before it if the model may call functions.
_OR_CALL = "If you call no function: "


def instruction(form: Form, *, has_tools: bool = False) -> str | None:
    """Return a sentence for the model; None for forms that models know nothing of.

    :param has_tools: True if the model may call functions.
    """
    text = _sentence(form)
    return f"{_OR_CALL}{text}" if has_tools and text is not None else text


def _sentence(form: Form) -> str | None:
    match form.kind:
        case "schema" if form.text == _ANY:
            return "Answer with a JSON object and nothing else."
        case "schema":
            return f"Answer with JSON and nothing else. Its JSON schema is:\n{form.text}"
        case "choices":
            return f"Answer with one of these texts and nothing else: {form.text[1:-1]}"
        case _:
            return None
