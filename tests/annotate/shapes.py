"""Replies as endpoints give them, with what they mean: shapes that public documentation and reports of users show.

No reply was copied: each is written here after the shape, with an answer to the question of these tests (yes or no).
"""

from __future__ import annotations

import json
import math


def chat(message, finish="stop", logprobs=None, usage=None, **more):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, "logprobs": logprobs}
    told = {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41} if usage is None else usage
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": told,
    } | more


def places(*chances, first=True):
    """Log-probabilities in the chat format; ``first``: the token that was answered stands first among the likeliest."""
    out = []
    for one in chances:
        tops = [{"token": t, "logprob": math.log(p), "bytes": list(t.encode())} for t, p in one.items()]
        out.append({**tops[0], "top_logprobs": tops if first else tops[::-1]})
    return {"content": out}


def error(status, body):
    return {"status": status, "body": body}


YES = {"yes": 0.9, "no": 0.1}
THOUGHT = "The writer says that the line is needed."

LOGPROBS = {
    "OpenAI": chat(
        {"content": "yes", "refusal": None, "annotations": []}, logprobs={**places(YES), "refusal": None},
        service_tier="default", system_fingerprint="fp_x",
    ),
    "Azure OpenAI": chat(
        {"content": "yes", "refusal": None}, logprobs={**places(YES), "refusal": None},
        prompt_filter_results=[{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}],
    ),
    "DeepSeek": chat(
        {"content": "yes"}, logprobs=places(YES),
        usage={"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41, "prompt_cache_hit_tokens": 0,
               "prompt_cache_miss_tokens": 40},
    ),
    "vLLM": chat(
        {"content": "yes", "reasoning_content": None, "tool_calls": [], "refusal": None}, logprobs=places(YES),
        usage={"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41, "prompt_tokens_details": None},
        prompt_logprobs=None, kv_transfer_params=None,
    ),
    "vLLM with the end of the turn": chat({"content": "yes"}, logprobs=places(YES, {"<|im_end|>": 1.0})),
    "llama.cpp": chat(
        {"content": "yes"}, "length", places(YES), timings={"prompt_n": 9}, system_fingerprint="b0-unknown",
    ),
    "Ollama": chat({"content": "yes"}, logprobs=places(YES), system_fingerprint="fp_ollama"),
    "Gemini": chat({"content": "yes"}, logprobs=places(YES)),
    "SGLang, blanks as marks": chat({"content": " yes"}, logprobs=places({"▁yes": 0.9, "▁no": 0.1})),
    "likeliest last": chat({"content": "yes"}, logprobs=places(YES, first=False)),
}  # fmt: skip
"""Replies with log-probabilities: yes has .9."""

WORDS = {
    "no log-probabilities (Anthropic)": chat({"content": "yes"}, logprobs=None),
    "Mistral, a thinking chunk": chat(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}], "closed": True},
                     {"type": "text", "text": "yes"}], "tool_calls": None, "prefix": False},
    ),
    "Mistral, chunks in pieces": chat(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                     {"type": "text", "text": "ye"},
                     {"type": "thinking", "thinking": []}, {"type": "text", "text": "s"}]},
    ),
    "DeepSeek, reasoning": chat({"content": "yes", "reasoning_content": THOUGHT}),
    "vLLM, reasoning field": chat({"content": "\n\nyes", "reasoning": THOUGHT, "reasoning_content": THOUGHT}),
    "vLLM without a parser": chat({"content": f"<think>\n{THOUGHT}\n</think>\n\nyes"}),
    "vLLM, the prompt opens the thought": chat({"content": f"{THOUGHT}\n</think>\n\nyes"}),
    "Ollama, reasoning": chat({"content": "yes", "reasoning": THOUGHT}),
    "OpenRouter": chat(
        {"content": "yes", "refusal": None, "reasoning": THOUGHT,
         "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]}, native_finish_reason="stop", provider="x",
    ),
    "gpt-oss, channels": chat({"content": "<|channel|>final<|message|>yes<|return|>"}),
}  # fmt: skip
"""Replies in words that say yes."""

DECLINED = {
    "OpenAI, a refusal": chat({"content": None, "refusal": "I'm sorry, I can't help with that."}),
    "OpenAI, filtered": chat({"content": ""}, "content_filter"),
    "Gemini, no message": {
        "id": "x", "object": "chat.completion", "model": "m", "choices": [
            {"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"}
        ], "usage": {"prompt_tokens": 40, "completion_tokens": 0, "total_tokens": 40},
    },
    "Gemini, its own words": chat({"content": None}, "SAFETY"),
    "Gemini, recitation": chat({}, "RECITATION"),
    "Anthropic": chat({"content": ""}, "refusal"),
    "Azure OpenAI, the prompt": error(400, {"error": {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }}),
}  # fmt: skip
"""Replies, and errors, of an endpoint that refuses to judge the text."""

NOTHING = {
    "Ollama, thought alone": (chat({"content": "", "reasoning": THOUGHT}), "only thought"),
    "DeepSeek, cut": (chat({"content": "", "reasoning_content": THOUGHT}, "length"), "while thinking"),
    "OpenAI o-series, cut": (chat(
        {"content": "", "refusal": None}, "length",
        usage={"prompt_tokens": 40, "completion_tokens": 16, "total_tokens": 56,
               "completion_tokens_details": {"reasoning_tokens": 16}},
    ), "max_tokens"),
    "vLLM, cut": (chat({"content": f"<think>{THOUGHT}"}, "length"), "while thinking"),
    "Mistral, cut": (chat({"content": [{"type": "thinking", "thinking": []}]}, "length"), "while thinking"),
    "a tool": (chat({"content": None, "tool_calls": [{"id": "x", "function": {"name": "f"}}]}, "tool_calls"), "tool"),
    "Groq, an error of the text": (error(413, {"error": {"message": "Request too large"}}), "too large"),
    "vLLM, too long": (error(400, {"object": "error", "message": "maximum context length is 8"}), "length"),
    "Gemini, an error in a list": (error(400, [{"error": {"code": 400, "message": "Bad text"}}]), "Bad"),
}  # fmt: skip
"""Replies without an answer, and what is said of them."""

JSON = {
    "OpenAI, a schema": chat({"content": '{"yes":0.9,"no":0.1}', "refusal": None, "parsed": None}),
    "Gemini, a fence": chat({"content": '```json\n{"yes": 0.9, "no": 0.1}\n```'}),
    "Mistral": chat({"content": '{"yes": "90%", "no": "10%"}'}),
    "DeepSeek, reasoning": chat({"content": '{\n  "yes": 0.9,\n  "no": 0.1\n}', "reasoning_content": '{"yes": 0}'}),
    "vLLM without a parser": chat({"content": '<think>{"no": 1}</think>{"yes": 90, "no": 10}'}),
    "Ollama, wrapped": chat({"content": '{"answer": {"yes": 0.9, "no": 0.1}}'}),
    "parts": chat({"content": [{"type": "text", "text": '{"yes": 0.9,'}, {"type": "text", "text": '"no": 0.1}'}]}),
}
"""Replies in JSON that give yes .9."""

PASSAGES = {
    "OpenAI, a schema": chat({"content": '{"passages":[{"label":"threat","quote":"come back","before":"will"}]}'}),
    "Gemini, a fence": chat({"content": '```json\n[{"label": "threat", "quote": "come back"}]\n```'}),
    "DeepSeek, reasoning": chat({"content": '{"passages": [{"label": "Threat", "quote": "COME BACK"}]}',
                                 "reasoning_content": "[]"}),
    "vLLM without a parser": chat({"content": '<think>[{"a": 1}]</think>\n{"passages": [{"quote": "come  back", '
                                              '"label": "threat", "before": null}]}'}),
}  # fmt: skip
"""Replies that quote the same passage."""

BILLED = {
    "plain": ({"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43}, (40, 3)),
    "without a total": ({"prompt_tokens": 40, "completion_tokens": 3}, (40, 3)),
    "OpenAI, thoughts within": (
        {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49,
         "completion_tokens_details": {"reasoning_tokens": 8}}, (40, 9),
    ),
    "Gemini, thoughts beside": ({"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 63}, (40, 23)),
    "Gemini, nothing but thoughts": (
        {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81,
         "completion_tokens_details": {"reasoning_tokens": 60}}, (21, 60),
    ),
    "Anthropic": (
        {"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 43, "prompt_tokens_details": None}, (40, 3),
    ),
    "a total that cannot be": ({"prompt_tokens": 40, "completion_tokens": 3, "total_tokens": 2}, (40, 3)),
    "none": ({}, None),
    "null": ({"prompt_tokens": None, "completion_tokens": None}, None),
}  # fmt: skip
"""What is said of usage, and the tokens that are billed."""


def batch_lines(key, body):
    """Lines of files of answers, and what they come to: answered, or to be asked again."""
    good = {"id": "batch_req_1", "custom_id": key, "response": {"status_code": 200, "request_id": "y", "body": body}}
    return {
        "OpenAI": (good | {"error": None}, True),
        "vLLM": (good | {"id": "vllm-1", "error": None}, True),
        "Groq, no error field": (good, True),
        "expired": (
            {"id": "x", "custom_id": key, "response": None, "error": {"code": "batch_expired", "message": "expired"}},
            False,
        ),
        "an error of the server": (
            {"custom_id": key, "response": {"status_code": 500, "body": {"error": {"message": "x"}}}, "error": None},
            False,
        ),
        "a rate limit": (
            {"custom_id": key, "response": {"status_code": 429, "body": {"error": {"message": "x"}}}, "error": None},
            False,
        ),
        "no body": ({"custom_id": key, "response": {"status_code": 200}, "error": None}, False),
    }


def sent(shape):
    """Status, headers and content of a reply."""
    if set(shape) == {"status", "body"}:
        return shape["status"], {}, json.dumps(shape["body"])
    return 200, {}, json.dumps(shape)
