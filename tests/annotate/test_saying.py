"""What counts as a label in an answer in words, and what does not."""

import pytest

from karat.annotate.saying import class_or_reason, usable, which

YES_NO = ["yes", "no"]
SCALE = [str(k) for k in range(1, 11)]


@pytest.mark.parametrize(
    "answer",
    [
        "yes", "Yes.", "YES", "  'yes' ", "**Yes**", "__yes__", "```\nyes\n```", "Answer: yes", "Antwort: Yes",
        "The answer is yes.", "I would say yes", '```json\n{"label": "yes"}\n```', "<answer>yes</answer>", "<yes>",
        "Yes<|im_end|>", "yes</s>", "\\boxed{yes}", "<think>yes? or no</think>\nYes", "Yes, definitely", "Yes. Yes.",
        "Yes, the writer welcomes the tram.", "Yes, because it praises rails", "yes\n\nReason: the writer likes it",
    ],
)  # fmt: skip
def test_a_label_however_it_is_presented(answer):
    assert which(answer, YES_NO) == 0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        *((a, "several") for a in ("Yes or no", "yes/no", "Yes, no", "Neither yes nor no", "Yes | No", "No. Yes.")),
        *((a, "none of the labels") for a in ("maybe", "None", "nope", "Nein, das geht nicht", "\u4e0d")),
        *((a, "more than the label") for a in (
            "I cannot say yes", "It is not a yes", "No idea.", "No, I cannot help with that", "Not yes", "Maybe yes",
            "Yes?", "No comment", "No answer", "No, it is impossible to say", "No. I can't assist with that request.",
            "No puedo ayudar con eso", "No, lo siento", "Yes, I can help! Please share the text.", "non-yes",
            "No, the text is missing", "yes-ish", "Yes, but it is close",
        )),
        *((a, "empty") for a in ("", "  \n", "<think>yes or no", "**")),
    ],
)  # fmt: skip
def test_what_is_not_a_label_and_why(answer, why):
    assert why in class_or_reason(answer, YES_NO)


@pytest.mark.parametrize(("answer", "place"), [("1", 0), ("10", 9), ("10.", 9), ("Rating: 7", 6)])
def test_numbers_as_labels(answer, place):
    assert which(answer, SCALE) == place


@pytest.mark.parametrize("answer", ["1.5", "10%", "1/10", "7 out of 10", "-1", "<5", "> 5", "7-8", "1,000", "11"])
def test_numbers_that_are_others(answer):
    assert which(answer, SCALE) is None


def test_labels_that_are_parts_of_one_another():
    words = ["against", "not against"]
    assert which("It is not against.", words) == 1
    assert which("Against", words) == 0
    for answer in ("isn't against", "not not against", "against or not against", "not quite against"):
        assert which(answer, words) is None
    assert which("\u4e0d\u652f\u6301", ["\u652f\u6301", "\u53cd\u5bf9"]) is None
    assert which("\u652f\u6301\u3002", ["\u652f\u6301", "\u53cd\u5bf9"]) == 0


def test_thoughts_that_were_cut_short_are_not_an_answer():
    for cut in ("<think>\nOkay, there is no", "<thinking>yes", "<reasoning>no"):
        assert which(cut, YES_NO) is None
    assert which("the user wants no or</think>\n\nYes", YES_NO) == 0
    assert usable("<think>hm</think> Yes.", "length", YES_NO)
    assert usable("Yes, since", "stop", YES_NO)
    assert not usable("There is no", "length", YES_NO)
