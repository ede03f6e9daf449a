"""Keys, tokens and passwords never reach a file or a log: they are replaced by *** in whatever is written."""

import re

# A value behind such a name never reaches a file or a log.
SECRET_NAME = re.compile(r"[\w.+-]*(?:key|token|secret|password|passwd|credential)\w*", re.IGNORECASE)
# In running text a bare "key" or "keys" is the word, not a name.
SECRET = re.compile(rf"""((?<![\w.+-])(?!keys?\s*[=:]){SECRET_NAME.pattern}\s*[=:]\s*)("[^"]*"|'[^']*'|\S+)""", re.IGNORECASE)
# What stands before the host of an address: user and password.
USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
# Signed links to private files carry the right to read them behind the question mark.
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
    """Returns what the user typed with secrets replaced by ***: a whole value, spaces and all, where its key is a secret's name."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}=***" if sign and SECRET_NAME.fullmatch(key) else redact(key + sign + value) for key, sign, value in parts]
