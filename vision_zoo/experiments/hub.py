"""Models on the Hugging Face Hub: push one with its card and a manifest of checksums, pull one and verify it.

A repository is a folder of models as others are: `<name>.onnx`, `manifest.json`, and the model card as `README.md`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_zoo.artifact import manifest
from vision_zoo.artifact.metadata import SUFFIX
from vision_zoo.core import regular_file
from vision_zoo.core.errors import HubError, ModelError, UsageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.experiments.report.model_card import model_card

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAX_BYTES = 2**31
"""The largest model that is pulled: a larger ONNX file cannot be loaded anyway."""
_MAX_MANIFEST_BYTES = 2**20
_SECONDS = 10.0  # without an answer, or between two parts of one
_CARD = "README.md"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_MEGABYTE = 1e-6


@dataclass(frozen=True)
class Pushed:
    """A model on the Hub: the address of its repository, the commit, and the files that were written."""

    url: str
    revision: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Pulled:
    """A model from the Hub: its file, `size` in bytes, the commit, and whether it replaced another file."""

    path: Path
    revision: str
    size: int
    replaced: bool


def push(
    path: Path,
    repository: str,
    *,
    results_dir: Path | None = None,
    private: bool = False,
    endpoint: str | None = None,
) -> Pushed:
    """Write the exported model at `path`, its card and the manifest to `repository`, which is made if need be.

    All are one commit. Other models of the repository stay; the card is that of the model pushed last. `results_dir`
    holds measured results for the card, `endpoint` is the Hub's address, by default HF_ENDPOINT or huggingface.co.

    Raises:
        ModelError: the file cannot be used.
        UsageError: `repository` is no name of one.
        HubError: there is no token, no network or no permission, or somebody else wrote at the same time.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    owner = _parts(repository, most=2)
    _require_file_name(path.name)
    content = regular_file.read(path, max_bytes=MAX_BYTES)
    card = model_card(path, results_dir)
    if get_token() is None:
        raise HubError("there is no token for the Hub; log in with `hf auth login`, or set HF_TOKEN")
    api = HfApi(endpoint=endpoint)
    disable_progress_bars()
    with _errors(repository, api):
        try:
            parent = api.model_info(owner, timeout=_SECONDS).sha
        except RepositoryNotFoundError:
            api.create_repo(owner, private=private)
            parent = None
        models = {} if parent is None else _manifest_of(api, owner, parent, required=False)
        others = sorted(name.removesuffix(SUFFIX) for name in models if name != path.name)
        card += _download_section(owner, path.stem, others)
        files = {path.name: content, _CARD: card.encode()}
        files[manifest.FILE_NAME] = _manifest_text(models, files).encode()
        commit = api.create_commit(
            owner,
            [CommitOperationAdd(name, text) for name, text in files.items()],
            commit_message=f"Add {path.stem}",
            parent_commit=parent,
        )
    return Pushed(f"{api.endpoint}/{owner}", commit.oid, tuple(files))


def pull(
    address: str,
    output_dir: Path,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    endpoint: str | None = None,
) -> Pulled:
    """Fetch the model `owner/repository/name` into `output_dir`; the name may be left out where there is one model.

    `revision` is a branch, tag or commit. The file is checked against the manifest of the same commit before it is put in
    place; nothing of the repository is run.

    Raises:
        UsageError: `address` names no repository.
        HubError: there is no network, no such repository, revision or model, or access needs a token.
        ModelError: the repository's manifest is missing or damaged, or a file is not what it says; nothing is written.
        StorageError: the folder cannot be written.
    """
    from huggingface_hub import HfApi

    parts = _parts(address, most=3).split("/")
    repository, wanted = "/".join(parts[:2]), parts[2] if len(parts) > 2 else None
    api, shown = HfApi(endpoint=endpoint), progress or SilentProgress()
    with _errors(repository, api):
        commit = api.model_info(repository, revision=revision, timeout=_SECONDS).sha or revision or "main"
        models = _manifest_of(api, repository, commit)
        name = _chosen(repository, models, wanted)
        entry = models[name]
        if not 0 < entry.bytes <= MAX_BYTES:
            raise ModelError(f"{name} of {repository} has {entry.bytes:,} bytes, more than {MAX_BYTES:,}")
        shown.start(f"pulling {name}", entry.bytes, "MB", _MEGABYTE)
        content = _fetch(api, repository, commit, name, most=entry.bytes, progress=shown)
    if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ModelError(
            f"{name} of {repository} does not match its SHA-256 in {manifest.FILE_NAME}: it was changed or damaged on "
            "the way; nothing was written"
        )
    path = output_dir / name
    replaced = path.exists()
    manifest.publish(path, content)
    return Pulled(path, commit, len(content), replaced)


def _parts(address: str, *, most: int) -> str:
    """The address, of two parts or up to `most`; UsageError if it is none."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    parts = address.split("/")
    expected = "OWNER/REPOSITORY" + ("" if most == 2 else " or OWNER/REPOSITORY/MODEL")
    try:
        if not 2 <= len(parts) <= most:
            raise HFValidationError
        validate_repo_id("/".join(parts[:2]))
    except HFValidationError as error:
        raise UsageError(f"{address!r:.100} is no repository of the Hub; expected {expected}") from error
    return address


def _require_file_name(name: str) -> None:
    if not (name.endswith(SUFFIX) and _NAME.fullmatch(name)):
        raise ModelError(
            f"{name!r:.100} is no name of a model on the Hub; expected letters, digits, '.', '_' and '-', and {SUFFIX}"
        )


def _chosen(repository: str, models: Mapping[str, manifest.Entry], wanted: str | None) -> str:
    for name in models:
        _require_file_name(name)
    names = [name.removesuffix(SUFFIX) for name in models]
    if wanted is None and len(names) == 1:
        return names[0] + SUFFIX
    chosen = (wanted or "").removesuffix(SUFFIX)
    if chosen in names:
        return chosen + SUFFIX
    found = f"it has {', '.join(names)}" if names else "it has none"
    said = f"{repository} has no model {wanted!r:.100}" if wanted else f"{repository} is not of one model"
    raise HubError(f"{said}: {found}; name one as {repository}/MODEL")


def _manifest_of(
    api: "HfApi", repository: str, commit: str, *, required: bool = True
) -> dict[str, manifest.Entry]:
    """The models that a repository lists; where a manifest is not `required`, none without it."""
    from huggingface_hub.errors import EntryNotFoundError

    try:
        content = _fetch(api, repository, commit, manifest.FILE_NAME, most=_MAX_MANIFEST_BYTES)
    except EntryNotFoundError as error:
        if not required:
            return {}
        raise ModelError(
            f"{repository} has no {manifest.FILE_NAME}; expected a repository that `vision-zoo push` wrote"
        ) from error
    return manifest.parse(content, f"{manifest.FILE_NAME} of {repository}")


def _fetch(
    api: "HfApi", repository: str, commit: str, name: str, *, most: int, progress: Progress | None = None
) -> bytes:
    """A file of a commit; ModelError if it has more than `most` bytes."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(repository, name, revision=commit, endpoint=api.endpoint)
    content = bytearray()
    with get_session().stream("GET", url, headers=build_hf_headers(), timeout=_SECONDS) as response:
        hf_raise_for_status(response)
        for part in response.iter_bytes():
            content += part
            if len(content) > most:
                raise ModelError(
                    f"{name} of {repository} has more than the {most:,} bytes that were expected; nothing was written"
                )
            if progress is not None:
                progress.advance(len(part))
    return bytes(content)


def _manifest_text(models: Mapping[str, manifest.Entry], files: Mapping[str, bytes]) -> str:
    """The manifest of a repository: its models as in every models folder, and its other files."""
    new = {
        name: manifest.Entry(len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    }
    listed = {**models, **{name: entry for name, entry in new.items() if name.endswith(SUFFIX)}}
    document = {
        "schema": manifest.SCHEMA_VERSION,
        "models": {name: _document_of(entry) for name, entry in sorted(listed.items())},
        "files": {name: _document_of(entry) for name, entry in new.items() if name not in listed},
    }
    return json.dumps(document, indent=2) + "\n"


def _document_of(entry: manifest.Entry) -> dict[str, object]:
    return {key: value for key, value in asdict(entry).items() if value is not None}


def _download_section(repository: str, name: str, others: list[str]) -> str:
    commands = "\n".join(f"vision-zoo pull {repository}/{model}" for model in (name, *others))
    return f"\n## Download\n\n```sh\n{commands}\n```\n"


@contextmanager
def _errors(repository: str, api: "HfApi") -> Iterator[None]:
    """Raise HubError for what the Hub answers, and where it does not answer."""
    from huggingface_hub import errors

    login = "log in with `hf auth login`, or set HF_TOKEN"
    try:
        yield
    except errors.GatedRepoError as error:
        raise HubError(f"{repository} asks for its terms to be accepted: do so on {api.endpoint}") from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{repository} does not exist on {api.endpoint}, or is private; check its name, or {login}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(f"{repository} has no such revision; expected a branch, a tag or a commit") from error
    except errors.EntryNotFoundError as error:
        raise HubError(f"{repository} lacks a file that its manifest lists; push the model again") from error
    except errors.OfflineModeIsEnabled as error:
        raise HubError("HF_HUB_OFFLINE is set; unset it to reach the Hub") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        refused = {
            401: f"the token is missing or not valid; {login}",
            403: f"no permission; {login} with a token that may write",
        }
        remedy = refused.get(status, f"the Hub answered with status {status}; try again later")
        raise HubError(f"{repository}: {remedy}") from error
    except Exception as error:
        if not type(error).__module__.startswith("httpx"):
            raise
        raise HubError(
            f"{api.endpoint} cannot be reached ({type(error).__name__}); check the network and HF_ENDPOINT"
        ) from error
