"""From answers to distributions, on paper."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.annotate import Question
from karat.annotate.protocol import Reply, decode, most_tokens, read_reply
from karat.annotate.question import normal
from karat.annotate.reading import Token, Unreadable, from_json, from_tokens, from_votes, usable, which
from karat.annotate.wire import asked_to_wait
from karat.errors import ArgumentError


def test_case_blanks_and_quotes_add_up():
    token = Token("yes", {"yes": 0.3, " Yes": 0.2, "YES": 0.1, '"yes': 0.05, "\u2581yes": 0.05, "no": 0.2, "Hm": 0.1})
    reading = from_tokens([token], ["yes", "no"])
    np.testing.assert_allclose(reading.p, [0.7 / 0.9, 0.2 / 0.9])
    assert reading.mass == pytest.approx(0.9)
    assert reading.unresolved == 0


def test_parts_of_words_count_when_only_one_class_begins_so():
    token = Token("pos", {"pos": 0.5, "neg": 0.3, "neut": 0.2})
    np.testing.assert_allclose(from_tokens([token], ["positive", "negative", "neutral"]).p, [0.5, 0.3, 0.2])


def test_a_shared_beginning_is_followed_to_the_next_place():
    words = ["negative", "neutral", "positive"]
    tokens = [Token("ne", {"ne": 0.8, "positive": 0.2}), Token("gative", {"gative": 0.75, "utral": 0.25})]
    reading = from_tokens(tokens, words)
    np.testing.assert_allclose(reading.p, [0.6, 0.2, 0.2])
    assert reading.unresolved == 0


def test_a_branch_that_was_not_taken_is_split_and_reported():
    reading = from_tokens([Token("positive", {"positive": 0.7, "ne": 0.3})], ["negative", "neutral", "positive"])
    np.testing.assert_allclose(reading.p, [0.15, 0.15, 0.7])
    assert reading.unresolved == pytest.approx(0.3)


def test_a_class_that_begins_another():
    words = ["hostile", "hostile to all"]
    tokens = [Token("hostile", {"hostile": 1.0}), Token("<|im_end|>", {"<|im_end|>": 0.9, " to": 0.1})]
    np.testing.assert_allclose(from_tokens(tokens, words).p, [0.9, 0.1])
    np.testing.assert_allclose(from_tokens([tokens[0], Token(" to", {" to": 0.6, ".": 0.4})], words).p, [0.4, 0.6])
    unknown = from_tokens(tokens[:1], words)
    assert unknown.unresolved == 1.0, "nothing says how often the answer would have gone on"


def test_numbers_with_and_without_tokens_of_their_own():
    words = [str(k) for k in range(1, 11)]
    whole = from_tokens([Token("10", {"10": 0.5, "1": 0.2, "9": 0.3})], words)
    np.testing.assert_allclose(whole.p[[0, 8, 9]], [0.2, 0.3, 0.5])
    digits = from_tokens([Token("9", {"9": 0.6, "1": 0.4})], words)
    assert digits.unresolved == pytest.approx(0.4)
    followed = from_tokens([Token("1", {"1": 0.4, "9": 0.6}), Token("0", {"0": 0.5, "<eos>": 0.5})], words)
    np.testing.assert_allclose(followed.p[[0, 8, 9]], [0.2, 0.6, 0.2])


def test_leading_blanks_are_passed_over():
    tokens = [Token("\n", {"\n": 1.0}), Token("**", {"**": 0.9, "no": 0.1}), Token("Yes", {"Yes": 1.0})]
    np.testing.assert_allclose(from_tokens(tokens, ["yes", "no"]).p, [0.9, 0.1])


def test_no_class_at_all():
    with pytest.raises(Unreadable, match="no class any probability"):
        from_tokens([Token("maybe", {"maybe": 0.9, "I": 0.1})], ["yes", "no"])


words = st.lists(
    st.text("abcdef ", min_size=1, max_size=5).map(normal).filter(bool), min_size=2, max_size=5, unique=True
)


@given(words, st.data())
def test_renaming_the_order_of_classes_renames_the_result(names, data):
    p = np.array(data.draw(st.lists(st.floats(0.01, 1), min_size=len(names), max_size=len(names))))
    p /= p.sum()
    tokens = [Token(names[int(p.argmax())], dict(zip(names, p)))]
    reading = from_tokens(tokens, names)
    order = data.draw(st.permutations(range(len(names))))
    again = from_tokens(tokens, [names[k] for k in order])
    np.testing.assert_allclose(again.p, reading.p[order])
    np.testing.assert_allclose(reading.p, p, err_msg="whole words as tokens say it all")
    assert reading.p.sum() == pytest.approx(1)


def test_votes():
    assert from_votes(["yes", "No.", "maybe", '"yes"'], ["yes", "no"]).p.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert from_votes(["yes", "x"], ["yes", "no"]).mass == 0.5
    with pytest.raises(Unreadable, match="'well' is none"):
        from_votes(["well", "yes", "hm"], ["yes", "no"])
    assert which("not hostile at all", ["hostile", "not hostile"]) == 1
    assert which("either yes or no", ["yes", "no"]) is None
    assert which("nothing", ["no", "yes"]) is None
    assert which("<think>yes? or no, maybe {</think>\nNo.", ["yes", "no"]) == 1
    assert from_json('<think>{"x": 1}</think> {"yes": 1, "no": 0}', ["yes", "no"]).p.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "p"),
    [
        ('```json\n{"yes": 0.7, "No": 0.3}\n```', [0.7, 0.3]),
        ('{"probabilities": {"yes": "70%", "no": "30%"}}', [0.7, 0.3]),
        ('{"yes": 1.0}', [1.0, 0.0]),
    ],
)
def test_stated_distributions(text, p):
    np.testing.assert_allclose(from_json(text, ["yes", "no"]).p, p)


@pytest.mark.parametrize("text", ["yes", "{", '{"yes": NaN, "no": 1}', '{"yes": -1, "no": 2}', '{"yes": true}', "{}"])
def test_stated_distributions_that_are_none(text):
    with pytest.raises(Unreadable):
        from_json(text, ["yes", "no"])


def test_completions_format():
    payload = {
        "choices": [
            {
                "text": " yes",
                "logprobs": {
                    "tokens": [" yes"],
                    "token_logprobs": [-0.1],
                    "top_logprobs": [{" yes": -0.1, " no": -2.5}],
                },
            }
        ]
    }
    [choice] = read_reply(payload, 1).choices
    assert choice.tokens[0].chances == pytest.approx({" yes": np.exp(-0.1), " no": np.exp(-2.5)})
    assert read_reply({"choices": [{"text": "a"}], "model": "m"}, 1) == Reply(
        read_reply({"choices": [{"text": "a"}]}, 1).choices, "m"
    )


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "3",
        "{}",
        '{"choices": {}}',
        '{"choices": [1]}',
        '{"choices": [{"message": {"content": "a"}, "logprobs": {"content": [1]}}]}',
        '{"choices": [{"message": {"content": "a"}, "logprobs": {"content": [{"token": "a", "logprob": "x"}]}}]}',
        '{"choices": [{"message": {"content": "a", "refusal": "I will not"}}]}',
        '{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}',
        '{"error": {"message": "overloaded"}}',
    ],
)
def test_replies_that_are_none(raw):
    with pytest.raises(Unreadable):
        read_reply(decode(raw), 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda v: (
        st.lists(v, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "logprobs", "token", "logprob", "top_logprobs", "usage", "text"]
            ),
            v,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=2))
def test_whatever_comes_is_read_or_refused(choices):
    with contextlib.suppress(Unreadable):
        read_reply({"choices": choices}, 2)


def test_bound_on_tokens():
    body = {"messages": [{"role": "user", "content": "\u00e4" * 100}], "max_completion_tokens": 7, "n": 3}
    prompt, completion = most_tokens(body)
    assert prompt >= 200
    assert completion == 21


def test_waiting_times():
    assert asked_to_wait({}) is None
    assert asked_to_wait({"retry-after-ms": "1500"}) == 1.5
    assert asked_to_wait({"retry-after": "soon"}) is None
    assert asked_to_wait({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def test_the_prompt_holds_what_it_should():
    question = Question("For it?", classes={1: "yes", 0: "no"}, examples=[("I like it", 1)], system="Be brief.")
    chat = question.messages("a {text} with {labels} in braces")
    assert [m["role"] for m in chat] == ["system", "user", "assistant", "user"]
    assert chat[2]["content"] == "yes"
    assert "a {text} with {labels} in braces" in chat[3]["content"]
    assert json.loads(question.messages("x", "json")[2]["content"]) == {"yes": 1.0, "no": 0.0}
    assert question.prompt("x").count("Answer:") == 2
    assert question.why_shown("I  like it ") == "shown in the prompt as an example"
    assert question.why_shown("I like") == ""
    quoting = Question("For it? Say no to: rails are noisy all night", classes=["yes", "no"])
    assert quoting.why_shown("rails are noisy all night") == "quoted in the prompt"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({}, "give classes"),
        ({"classes": ["a", "b"], "scale": (1, 2)}, "one of them"),
        ({"classes": "ab"}, "classes is a str"),
        ({"classes": ["a"]}, "two or more"),
        ({"classes": ["a", "A."]}, "different words"),
        ({"scale": (3, 1)}, "scale"),
        ({"classes": ["a", "b"], "template": "no place"}, "must hold"),
        ({"classes": ["a", "b"], "examples": [("x", "c")]}, "'c' is not among"),
        ({"classes": ["a", "b"], "examples": ["x"]}, "pairs"),
    ],
)
def test_questions_that_are_refused(settings, match):
    with pytest.raises(ArgumentError, match=match):
        Question("Which?", **settings)


def test_a_beginning_counts_only_if_the_answer_goes_on_so():
    words = ["irrelevant", "neutral"]
    first = Token("I", {"I": 0.9, "neutral": 0.1})
    lost = from_tokens([first, Token(" think", {" think": 0.98, "rr": 0.02}), Token(" so", {" so": 0.9})], words)
    np.testing.assert_allclose(lost.p, [0.018 / 0.118, 0.1 / 0.118])
    assert lost.mass == pytest.approx(0.118)
    kept = from_tokens([first, Token("rr", {"rr": 0.98, " think": 0.02}), Token("elevant", {"elevant": 1.0})], words)
    np.testing.assert_allclose([kept.mass, kept.p[0] * kept.mass], [0.982, 0.882])
    the = from_tokens([Token("The", {"The": 0.95, "no": 0.05}), Token(" man", {" man": 0.99})], ["the left", "no"])
    assert the.mass == pytest.approx(0.05)
    within = [Token("A", {"A": 0.9, "B": 0.1}), Token("s", {"s": 0.9, ".": 0.1})]
    np.testing.assert_allclose(from_tokens(within, ["A", "B"]).mass, 0.19)
    ends = from_tokens([Token("A", {"A": 0.9, "B": 0.1}), Token(".", {".": 0.9})], ["A", "B"])
    np.testing.assert_allclose(ends.p, [0.9, 0.1])
    ten = from_tokens([Token("1", {"1": 0.6, "2": 0.4}), Token("0", {"0": 0.7, "<eos>": 0.3})], ["1", "2"])
    np.testing.assert_allclose(ten.p, [0.18 / 0.58, 0.4 / 0.58])


def test_thoughts_that_were_cut_short_are_no_answer():
    words = ["yes", "no"]
    for cut in ("<think>\nOkay, there is no", "<thinking>yes"):
        assert which(cut, words) is None
    assert which("the user wants no or</think>\n\nYes", words) == 0
    assert usable("<think>hm</think> Yes.", "length", words)
    assert usable("Yes, since", "stop", words)
    assert not usable("There is no", "length", words)
