"""Replacing keys, tokens and passwords by *** in what is written to files and logs."""

import re

# Names whose values are secret.
SECRET_NAME = re.compile(r"[\w.+-]*(?:key|token|secret|password|passwd|credential)\w*", re.IGNORECASE)
# In running text, "key" or "keys" alone is an ordinary word.
SECRET = re.compile(rf"""((?<![\w.+-])(?!keys?\s*[=:]){SECRET_NAME.pattern}\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)""", re.IGNORECASE)
# User and password in an address.
USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
# The query of a signed link gives access to a private file.
URL_QUERY = re.compile(r"(?<=://)([^\s'\"?]+)\?[^\s'\"]+")


def redact(text: str) -> str:
    """Returns the text with the values behind names of keys, tokens and passwords, and users in addresses, replaced by ***."""
    return URL_QUERY.sub(r"\1?***", USER_INFO.sub("***@", SECRET.sub(r"\1***", text)))


def redact_yaml(text: str) -> str:
    """Returns YAML with the texts behind names of keys, tokens and passwords replaced by ***; numbers, true and null stay."""
    number = r"(?:null|true|false|[-+.\d][-+.\de]*)\s*$"
    named = re.sub(rf"^([\s-]*{SECRET_NAME.pattern}\s*:\s+)(?!{number})\S.*$", r"\1'***'", text, flags=re.IGNORECASE | re.MULTILINE)
    return URL_QUERY.sub(r"\1?***", USER_INFO.sub("***@", named))


def redact_overrides(overrides: list[str]) -> list[str]:
    """Returns overrides with secrets replaced by ***: the whole value, also with spaces, where the key is the name of a secret."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}=***" if sign and SECRET_NAME.fullmatch(key) else redact(key + sign + value) for key, sign, value in parts]
