"""The task at which a run waits for a person who has seen the evidence.

Airflow's own human-in-the-loop operator asks; no worker is held meanwhile. The answer names the
digest of the release that was shown, so a yes never passes to another release.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from proofmint_alerts import Alert
from proofmint_task import PROGRESS_FILE_VARIABLE, DatasetOperator

WAIT = timedelta(days=7)
"""How long the question stands; without an answer nothing is released."""

MAX_COMMENT_LENGTH = 2000


class ApproveOperator(DatasetOperator, ApprovalOperator):
    """Show the evidence of a release and wait for a yes; a no, or no answer, ends the run.

    Without a change since the newest version nobody is asked, nor where these very bytes were
    approved before.
    """

    ui_color = "#fef7e0"

    def __init__(
        self, *, mail: Sequence[str] = (), webhook: str | None = None, **options: Any
    ) -> None:
        options |= {
            "subject": "Release?",  # what is asked of a person is known when the run is here
            "params": {
                "digest": _digest_field(None),
                "comment": Param(
                    None,
                    type=["null", "string"],
                    maxLength=MAX_COMMENT_LENGTH,
                    title="Comment",
                    description="With an approval it goes into the attestation; with a rejection,"
                    " to whoever is told of it",
                    source="task",
                ),
            },
            "response_timeout": WAIT,
            "retries": 0,  # an answer is final
            # By default a rejection skips what follows, and the run would end as a success.
            "fail_on_reject": True,
            "notifiers": [Alert(mail=mail, webhook=webhook, waits=True)],
        }
        super().__init__(**options)

    def execute(self, context: Mapping[str, Any]) -> str | None:
        """Ask, if there is something to ask; else return the approval of before, signed, if there is one.

        Raises:
            AirflowFailException: this run is of a terminal, where Airflow can ask nobody.
        """
        request = self._request(context)
        if not request["pending"]:
            self.log.info("unchanged, or approved before: nobody is asked")
            return self._signed(request["digest"])
        if PROGRESS_FILE_VARIABLE in os.environ:
            raise self._not_approved(
                context,
                f"{self.dataset}: a person must approve this release, and a run without a server"
                f" can ask nobody; let DVC bring it here, look at it, say yes and release it:"
                f" proofmint run {self.dataset}; proofmint approve {self.dataset}; proofmint"
                f" release {self.dataset}",
            )
        self.subject = request["subject"]
        self.body = f"{request['body']}\n\n{self._links(context)}"
        self.params["digest"] = _digest_field(request["digest"])
        return super().execute(context)

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> str | None:
        """Return the approval, signed, for the release; called when somebody has answered.

        Raises:
            AirflowFailException: a no, no answer in time, or an answer about another release.
        """
        try:
            super().execute_complete(context, event)
            rejected = False
        except HITLRejectException:
            rejected = True
        except HITLTimeoutError:
            raise self._not_approved(
                context, f"{self.dataset}: nobody has answered in {WAIT.days} days"
            ) from None
        except ValueError:  # of Airflow, with the whole answer in it; the form sends no such one
            raise self._not_approved(
                context,
                f"{self.dataset}: expected an answer with the digest as text or null, and a comment"
                f" of at most {MAX_COMMENT_LENGTH} letters or null, found another one; clear this"
                " task to ask again",
            ) from None
        by, given = _name(event["responded_by_user"]), event["params_input"] or {}
        comment = " ".join(str(given.get("comment") or "").split())
        if rejected:
            said = f": {comment}" if comment else " without a comment"
            raise self._not_approved(context, f"{self.dataset}: rejected by {by}{said}")
        digest = self._digest(context)
        if given.get("digest") != digest:
            raise self._not_approved(
                context,
                f"{self.dataset}: expected an approval of the digest {digest}, found one"
                f" of {given.get('digest')}: the answer must name the digest that was shown; clear"
                " this task to ask again, or start another run if the release is another one now",
            )
        self.log.info("approved by %s", by)
        self._keep(
            {
                "by": by,
                "at": event["responded_at"].isoformat(timespec="seconds"),
                "digest": digest,
                "comment": comment,
                "through": f"Airflow run {context['run_id']}",
            }
        )
        return self._signed(digest)

    def _keep(self, said: dict[str, str]) -> None:
        from tasks import approvals
        from tasks.workspace import state_of

        approval = approvals.Approval.model_validate(said)
        approvals.keep(state_of(Path(self.project)), self.dataset, approval)

    def _signed(self, digest: str) -> str | None:
        """The approval that is kept here, for a release on a worker with another disk."""
        from tasks import approvals
        from tasks.publishing.signed_approvals import sign_approval
        from tasks.workspace import state_of

        state = state_of(Path(self.project))
        kept = approvals.find(state, self.dataset, digest)
        return sign_approval(state, self.dataset, kept) if kept else None

    def _request(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The question as the release that stands in the run's worktree puts it."""
        with self._opened(context) as root:
            self._bring(context)
            self._command(context, "tasks", "approve", "--show", self.dataset)
            place = root / ".dvc" / "tmp" / f"approval-{self.dataset}.json"
            request: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        return request

    def _digest(self, context: Mapping[str, Any]) -> str:
        """sha256 of the manifest of the release in the run's worktree."""
        with self._opened(context) as root:
            self._bring(context)
            manifest = root / "releases" / self.dataset / "evidence" / "manifest.json"
            return hashlib.sha256(manifest.read_bytes()).hexdigest()

    def _bring(self, context: Mapping[str, Any]) -> None:
        """Have the release here, where workers share no disk."""
        from tasks import git_remote

        if git_remote.name():
            self._command(context, "dvc", "--wait-for-lock", "pull", f"releases/{self.dataset}")

    def _not_approved(self, context: Mapping[str, Any], message: str) -> Exception:
        fault = {"type": "NotApproved", "message": message, "retryable": False}
        return self._failure(context, fault)

    @staticmethod
    def _links(context: Mapping[str, Any]) -> str:
        from airflow.sdk.configuration import conf

        # Without the host, under which readers may know another name; Airflow may stand below a path.
        below = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        dag, run = (quote(context["ti"].dag_id, safe=""), quote(context["run_id"], safe=""))
        return f"[The whole evidence, with the report]({below}/proofmint/datasets/{dag}/runs/{run})"


def _digest_field(digest: str | None) -> Param:
    """The field of the form that binds an answer to what was shown; it offers that digest alone."""
    choice = {} if digest is None else {"enum": [digest]}
    return Param(
        digest,
        type=["null", "string"] if digest is None else "string",
        title="Digest",
        description="Of the release that you have seen: the answer is for it alone",
        source="task",
        **choice,
    )


def _name(user: Mapping[str, str] | None) -> str:
    """Who answered, so that nobody is taken for a namesake."""
    if user is None:
        return "nobody"
    return user["name"] if user["id"] == user["name"] else f"{user['name']} (user {user['id']})"
