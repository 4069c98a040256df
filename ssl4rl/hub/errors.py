"""What the hub refuses, in one line with the remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ssl4rl.errors import UserError
from ssl4rl.hub_names import hub_address, why_unreachable
from ssl4rl.progress import is_quiet

LOG_IN = "run `hf auth login`, or set HF_TOKEN"


def check_name(repo: str) -> None:
    """Refuses what is no repository's name.

    Raises:
        UserError: saying what a name looks like.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError:
        repo = ""
    if repo.count("/") != 1:
        raise UserError("REPO is written OWNER/NAME, with letters, digits, '-', '_' and '.' only")


def check_reachable() -> None:
    """Refuses to begin without a hub.

    Raises:
        UserError: if it is switched off or does not answer.
    """
    if why := why_unreachable():
        raise UserError(
            f"{hub_address()} cannot be reached ({why}); try again where there is a network, or set HF_ENDPOINT"
        )


@contextmanager
def one_line(repo: str) -> Iterator[None]:
    """Turns what the hub's client raises into one line; where there is no terminal, it draws no progress bars.

    Raises:
        UserError: naming the repository and what to do.
    """
    import httpx
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if is_quiet() or not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    except RevisionNotFoundError as error:
        raise UserError(f"{repo} has no such revision; leave --revision out for the latest") from error
    except GatedRepoError as error:
        raise UserError(f"{repo} wants its terms accepted first: {hub_address()}/{repo}") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{repo} is not on {hub_address()}; check its name, and if it is private, {LOG_IN}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise UserError(f"{hub_address()} does not know the token; {LOG_IN} with a new one") from error
        if status == 403:
            raise UserError(
                f"the token may not do this with {repo}: give a repository of your own, or a token with `write` rights"
            ) from error
        said = error.server_message or str(error).split("\n")[0]
        raise UserError(f"{hub_address()} refuses {repo} ({status}: {said})") from error
    except (ValueError, RuntimeError) as error:
        # What the client itself finds wrong with a card, or with the upload of a file.
        raise UserError(f"{repo}: {' '.join(str(error).split())}") from error
    except httpx.HTTPError as error:
        raise UserError(
            f"the connection to {hub_address()} broke ({error or type(error).__name__}); repeat the command to go on"
        ) from error
