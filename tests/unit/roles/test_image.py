"""An image goes by its content, and runs by its digest."""

from __future__ import annotations

from typing import Any

from tests.role_variables import task, templated

FILES = {"files": [{"path": "/site/Dockerfile", "checksum": "0"}]}
BASE = {"images": [{"Id": "sha256:1"}]}


def tag(**change: Any) -> str:
    seen = {
        "image_context": "/site",
        "__image_files": FILES,
        "__image_base_found": BASE,
        "image_base": "base",
    }
    return str(templated("image", "{{ __image_tag }}", **seen | change))


def test_another_content_is_another_image() -> None:
    other: list[dict[str, Any]] = [
        {"__image_files": {"files": [{"path": "/site/Dockerfile", "checksum": "1"}]}},
        {"__image_files": {"files": [{"path": "/site/Containerfile", "checksum": "0"}]}},
        {"__image_base_found": {"images": [{"Id": "sha256:2"}]}},
        {"image_build_args": {"WORDS": "others"}},
        {"image_base": "another"},
    ]
    tags = [tag(), *(tag(**change) for change in other)]
    assert tag() == tags[0]
    assert len(set(tags)) == len(tags)


def test_it_runs_by_its_digest() -> None:
    remember = task("image", "folder", "Folder | Remember the image")
    reference = remember["ansible.builtin.set_fact"]["image_reference"]
    seen = {"image_pull_name": "registry.example.org/site", "__image_tag": "tag"}
    for digest, name in (
        ("sha256:1", "registry.example.org/site@sha256:1"),
        ("", "registry.example.org/site:tag"),
    ):
        assert templated("image", reference, **seen, __image_known=digest) == name
