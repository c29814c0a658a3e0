"""From answers to distributions, on paper."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.annotate import Question
from karat.annotate.http import asked_to_wait
from karat.annotate.protocol import Reply, decode, most_tokens, read_reply
from karat.annotate.reading import Reading, Token, from_json, from_tokens, from_votes, hold_against
from karat.annotate.saying import Refused, Unreadable, normal, which
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
        ('{"yes": 0.92}', [0.92, 0.08]),
        ('{"No": "5%"}', [0.95, 0.05]),
        ('{"yes": 0.9, "no": null}', [0.9, 0.1]),
        ('{"yes": 0.99, "no": "1%"}', [0.99, 0.01]),
        ('{"yes": 99, "no": 1}', [0.99, 0.01]),
    ],
)
def test_stated_distributions(text, p):
    np.testing.assert_allclose(from_json(text, ["yes", "no"]).p, p)


@pytest.mark.parametrize(
    "text",
    [
        "yes", "{", '{"yes": NaN, "no": 1}', '{"yes": -1, "no": 2}', '{"yes": true}', "{}", '{"yes": 9}', '{"yes": 92}',
        '{"yes": "1%", "no": "0%"}', '{"yes": 0.01, "no": 0}', '{"yes": 1, "no": 1}', '{"yes": 0.5, "yes": 0.5}',
        '{"yes": "high", "no": "low"}', '{"yes": [0.9]}', '{"yes": 1.2}',
    ],
)  # fmt: skip
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
        *[({"scale": bad}, "scale=") for bad in ((3, 1), (1,), 5, "17", (1, 2.5), (1, "7"), (0, 500), (True, 3))],
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


def test_what_several_classes_left_out_share_is_not_known():
    words = ["yes", "no", "unclear"]
    with pytest.raises(Unreadable, match=r"leaves out \['no', 'unclear'\], and 0.08 is left for them"):
        from_json('{"yes": 0.92}', words)
    np.testing.assert_allclose(from_json('{"yes": 0.6, "no": 0.3}', words).p, [0.6, 0.3, 0.1])
    np.testing.assert_allclose(from_json('{"yes": 0.7, "no": 0.3}', words).p, [0.7, 0.3, 0.0])


def chat(tops, text="yes", own=-0.2, **more):
    places = [{"token": text, "logprob": own, "top_logprobs": tops}]
    return {"choices": [{"message": {"content": text}, "logprobs": {"content": places}} | more]}


@pytest.mark.parametrize("odd", [None, float("nan"), float("-inf"), "-0.3", True, 5.0, [1], -1e9])
def test_an_odd_entry_does_not_spoil_the_good_ones(odd):
    tops = [{"token": "yes", "logprob": -0.2}, {"token": "no", "logprob": -1.8}, {"token": "zz", "logprob": odd}, 3, {}]
    [choice] = read_reply(chat(tops), 1).choices
    np.testing.assert_allclose(from_tokens(choice.tokens, ["yes", "no"]).p[0], 0.832, atol=1e-3)
    own = [{"token": "yes", "logprob": odd}, *tops[1:]]
    [choice] = read_reply(chat(own), 1).choices
    assert choice.tokens[0].chances["yes"] == pytest.approx(0.0 if odd in (float("-inf"), -1e9) else np.exp(-0.2))


def test_log_probabilities_that_cannot_be_read_leave_the_answer():
    for tops, own in (
        ([{"token": "yes", "logprob": 2.0}], None),
        ([], "x"),
        ([{"token": "no", "logprob": -0.1}], -0.1),
    ):
        [choice] = read_reply(chat(tops, own=own), 1).choices
        assert (choice.text, choice.tokens) == ("yes", None)
        assert "log-probability" in choice.odd or "add up" in choice.odd
    for places in ([1], [{"token": 3}]):
        payload = {"choices": [{"message": {"content": "a"}, "logprobs": {"content": places}}]}
        assert "protocol" in read_reply(payload, 1).choices[0].odd
    good = {"token": "yes", "logprob": -0.1, "top_logprobs": []}
    payload = {"choices": [{"message": {"content": "yes."}, "logprobs": {"content": [good, {"token": "."}]}}]}
    assert [t.text for t in read_reply(payload, 1).choices[0].tokens] == ["yes"], "up to the odd one"


def test_what_is_not_listed_is_not_known():
    assert from_tokens([Token("yes", {"yes": 0.8})], ["yes", "no"]).unlisted == pytest.approx(0.2)
    assert from_tokens([Token("yes", {"yes": 0.7, "no": 0.1})], ["yes", "no"]).unlisted == 0
    shared = [Token("ne", {"ne": 0.8}), Token("gative", {"gative": 0.9, "utral": 0.1})]
    assert from_tokens(shared, ["negative", "neutral", "positive"]).unlisted == pytest.approx(0.2)
    assert from_tokens(shared, ["negative", "neutral"]).unlisted == 0
    blank = [Token("\n", {"\n": 1.0}), Token("no", {"no": 0.6})]
    assert from_tokens(blank, ["yes", "no"]).unlisted == pytest.approx(0.4)
    assert from_tokens([Token("1", {"1": 0.7})], ["1", "10"]).unlisted == pytest.approx(0)


def test_a_distribution_is_held_against_the_answer():
    words = ["yes", "no"]

    def held(p, text, tokens, likeliest=True):
        hold_against(Reading(np.array([p, 1 - p]), 1.0), text, tokens, words, likeliest)

    plain = Token("yes", {"yes": 0.9, "no": 0.1})
    held(0.9, "Yes.", [plain])
    for text, match in (("no", "say 'yes'"), ("No idea", "more than"), ("", "empty"), ("hm", "none of the labels")):
        with pytest.raises(Unreadable, match=match):
            held(0.9, text, [plain])
    drawn = Token("no", {"yes": 0.9, "no": 0.1})
    held(0.9, "no", [drawn], likeliest=False)
    with pytest.raises(Unreadable, match="log-probabilities say 'yes'"):
        held(0.9, "no", [drawn])
    held(0.6, "No", [Token("No", {"No": 0.4, "yes": 0.3, "Yes": 0.3})]), "the mass of a class may lie on several tokens"


@pytest.mark.parametrize(
    ("message", "finish", "match"),
    [
        ({"content": "", "reasoning": "Okay"}, "length", "cut at max_tokens while thinking"),
        ({"content": None, "reasoning_content": "Okay"}, "length", "cut at max_tokens while thinking"),
        ({"content": "<think>Okay, the"}, "length", "cut at max_tokens while thinking"),
        ({"content": [{"type": "thinking", "thinking": []}]}, "length", "cut at max_tokens while thinking"),
        ({"content": " "}, "length", "cut at max_tokens before it began"),
        ({"content": None, "tool_calls": [{"id": "x"}]}, "tool_calls", "called a tool"),
        ({"content": "", "function_call": {"name": "f"}}, "stop", "called a tool"),
        ({"content": "", "reasoning": "yes"}, "stop", "only thought"),
        ({"content": None}, "content_filter", "refused to answer"),
        ({"content": ""}, "safety", "refused to answer"),
        ({"content": ""}, "other", r"no answer \(other\)"),
        ({"content": "", "refusal": "I will not"}, "stop", "refused to answer"),
    ],
)
def test_empty_answers_name_their_reason(message, finish, match):
    with pytest.raises(Refused, match=match):
        read_reply({"choices": [{"message": message, "finish_reason": finish}]}, 1)


def test_an_answer_in_parts():
    parts = [{"type": "thinking", "thinking": "no"}, {"type": "text", "text": "yes"}]
    assert read_reply({"choices": [{"message": {"content": parts}}]}, 1).choices[0].text == "yes"
