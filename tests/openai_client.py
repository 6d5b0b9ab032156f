"""OpenAI's own Python client against a running countersign: arguments are the base URL; the key comes from COUNTERSIGN_KEY."""

import os
import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key=os.environ["COUNTERSIGN_KEY"], max_retries=0, timeout=30)
question = [{"role": "user", "content": "What is the status of SO-1042?"}]

assert [model.id for model in client.models.list()] == ["countersign"]

plain = client.chat.completions.create(model="countersign", messages=question)
message = plain.choices[0].message
assert "shipped" in message.content, message.content
assert message.annotations, "no annotations"
citation = message.annotations[0].url_citation
assert message.content[citation.start_index : citation.end_index] == "[1]"
assert citation.url.endswith("version=1") and citation.title

text, annotations, finished = "", [], None
options = {"include_usage": True}
for chunk in client.chat.completions.create(model="countersign", messages=question, stream=True, stream_options=options):
    for choice in chunk.choices:
        text += choice.delta.content or ""
        annotations += (choice.delta.model_extra or {}).get("annotations", [])
        finished = choice.finish_reason or finished
    usage = chunk.usage
assert text == message.content, text
assert finished == "stop" and usage.total_tokens > 0
assert annotations[0]["url_citation"]["start_index"] == citation.start_index

try:
    client.chat.completions.create(model="countersign", messages=[])
    raise SystemExit("an empty conversation was answered")
except Exception as error:  # the client's own error class says that it understood our error object
    assert type(error).__name__ == "UnprocessableEntityError", repr(error)
print("ok")
