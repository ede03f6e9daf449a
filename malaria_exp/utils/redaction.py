"""Replacing keys, tokens and passwords by *** in what is written to files and logs."""

import getpass
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

# Names whose values are secret. Short words count only as a whole part of a name: not in author, sashimi or passes.
SECRET_NAME = re.compile(
    r"[\w.+-]*(?:key|token|secret|password|passwd|passphrase|pwd|credential)\w*"
    r"|(?:[\w.+-]*[._+-])?(?:auth|authorization|bearer|sas)(?:[._-][\w.-]*)?"
    r"|[\w.+-]*pass(?:[._-][\w.-]*)?",
    re.IGNORECASE,
)
# Of these a number is secret too; of others, such as a number of tokens, it stays.
PASSWORD_NAME = re.compile(r".*(?:passw|passphrase|pwd|secret|pass\Z).*", re.IGNORECASE)
SCHEME = r"(?:bearer|basic|digest|token|apikey)\s+"
# In running text, "key" or "keys" alone is an ordinary word. A name may stand in quotes, as in JSON.
SECRET = re.compile(
    rf"""((?<![\w.+-])(?!keys?["']?\s*[=:])(?:{SECRET_NAME.pattern})["']?\s*[=:]\s*)("[^"]*"|'[^']*'|(?:{SCHEME})?\S+)""", re.IGNORECASE
)
# A secret's line in what was meant as YAML.
LINE = re.compile(rf"""^([\s-]*["']?(?:{SECRET_NAME.pattern})["']?\s*:\s+)\S.*$""", re.IGNORECASE | re.MULTILINE)
# An Authorization header's value without its name.
HEADER = re.compile(r"\b(bearer\s+)(?!\*)[\w.~+/=-]{8,}", re.IGNORECASE)
# User and password in an address. A password may hold / and @, so all up to the last @ goes; host:8080/ is no user.
USER_INFO = re.compile(r"(?<=://)(?:[^/\s:@'\"]+:(?!\d+/)[^\s'\"]*|[^/\s@'\"]+)@")
# The name of a user in a path: of the home folders of Linux, macOS and Windows.
HOME_OF = re.compile(r"(?i)((?:/home|/users|[a-z]:\\users)[/\\])[^/\\\s'\",:;]+")
# The query of a signed link gives access to a private file.
URL_QUERY = re.compile(r"(?<=://)([^\s'\"?]+)\?[^\s'\"]+")


def redact(text: str) -> str:
    """Returns the text with the values behind names of keys, tokens and passwords, and users in addresses, replaced by ***."""
    return _redact_addresses(HEADER.sub(r"\1***", SECRET.sub(r"\1***", text)))


def redact_home(text: str) -> str:
    """Returns the text with this user's home folder as ~, and with users' names in paths replaced by <user>."""
    home = re.escape(str(Path.home()))
    text = re.sub(rf"{home}(?![\w.-])", "~", text) if len(home) > 1 else text
    text = HOME_OF.sub(r"\1<user>", text)
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(name)}(?=[/\\\s]|$)", "<user>", text)


def redact_yaml(text: str) -> str:
    """Returns YAML with all texts below names of keys, tokens and passwords replaced by ***; numbers, true and null stay.

    Of passwords numbers go too. Other texts are redacted as overrides are. What is no YAML is redacted as running text.
    """
    text = _redact_addresses(text)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return redact(LINE.sub(r"\1***", text))
    for node, shown in reversed(list(_secrets(root, ""))):
        start, end = node.start_mark.index, node.end_mark.index
        # A text of several lines ends with its last line's end.
        text = text[:start] + "'" + shown.replace("'", "''") + "'" + ("\n" if text[start:end].endswith("\n") else "") + text[end:]
    return text


def redact_overrides(overrides: list[str]) -> list[str]:
    """Returns overrides with secrets replaced by ***: the whole value, also with spaces, where the key is the name of a secret."""
    parts = [item.partition("=") for item in overrides]
    return [f"{key}=***" if sign and SECRET_NAME.fullmatch(key) else redact(key + sign + value) for key, sign, value in parts]


def _redact_addresses(text: str) -> str:
    return URL_QUERY.sub(r"\1?***", USER_INFO.sub("***@", text))


def _secrets(node: yaml.Node | None, name: str) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """Yields the scalars that hold secrets, in the order of the text, each with what is shown in its place.

    Args:
        node: of the YAML.
        name: that of the secret it stands below; empty for none.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            own = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            yield from _secrets(value, own if SECRET_NAME.fullmatch(own) else name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _secrets(item, name)
    elif isinstance(node, yaml.ScalarNode):
        text = node.tag == "tag:yaml.org,2002:str"
        number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
        if name and ((text and node.value) or (number and PASSWORD_NAME.fullmatch(name))):
            yield node, "***"
        elif text and (shown := redact_overrides([node.value])[0]) != node.value:
            # Such as an override in the list of a multirun.
            yield node, " ".join(shown.split())
