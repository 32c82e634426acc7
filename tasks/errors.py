"""Every error that Proofmint raises on purpose, with the exit status of each.

    ProofmintError            1  anything below; never raised itself
    ├── ParamsError           2  params.yaml or a command's arguments are wrong
    ├── GateRefused           3  data or a release did not meet its expectations
    │   └── NotApproved       3  nobody has said yes to the release, or somebody has said no
    ├── DataError             4  the data cannot be used as it is
    │   ├── SchemaError       4  schema.json and the data disagree
    │   └── NothingToLearn    4  nothing varies in the training rows
    ├── SourceError           5  the source answered, but not with what was asked for
    │   ├── EmptyPartition    5  no row has a date in the partition: there is nothing to do
    │   └── SourceUnavailable 5  the source did not answer: worth a retry
    │       └── SourceChanged 5  the state that was being read is gone: read all of it again
    │           └── SourceRewound 5  it ends before where it ended at the last run
    ├── TrainingError         6  training or sampling cannot go on
    ├── VerificationError     7  a release is not what its proof says
    ├── WorkspaceError        8  git, DVC, a server or the disk is not as needed
    │   ├── TargetUnavailable 8  a publishing target did not answer: worth a retry
    │   ├── RemoteUnavailable 8  the git remote did not answer: worth a retry
    │   └── RemoteMoved       8  another publisher was quicker there: worth a retry
    └── TrackingUnavailable   9  MLflow did not answer: worth a retry

A message says what was expected, what was found and what to do. `retryable` is for Airflow: a
fault of the infrastructure may pass, a fault of the data or the settings will not.
"""


class ProofmintError(Exception):
    """Base of all errors that end a command with a message instead of a traceback."""

    exit_code = 1
    retryable = False


class ParamsError(ProofmintError):
    """A setting is unknown, of the wrong type, or impossible."""

    exit_code = 2


class GateRefused(ProofmintError):
    """A gate examined the data and said no."""

    exit_code = 3


class NotApproved(GateRefused):
    """A release that needs a person's yes has none."""


class DataError(ProofmintError):
    """The data cannot be used as it is."""

    exit_code = 4


class SchemaError(DataError):
    """The schema is malformed, or the data does not follow it."""


class NothingToLearn(DataError):
    """No column of the training rows varies, or those that do are made anew."""


class SourceError(ProofmintError):
    """A source answered, but without the table, column or file that was asked for."""

    exit_code = 5


class EmptyPartition(SourceError):
    """No row of a source has a date in the partition that was asked for."""


class SourceUnavailable(SourceError):
    """A source did not answer; a later try may succeed."""

    retryable = True


class SourceChanged(SourceUnavailable):
    """The state of the source that was being read is gone, with the connection that held it."""


class SourceRewound(SourceChanged):
    """A source has lost rows that it had at the last run: what came since is not all that differs."""


class TrainingError(ProofmintError):
    """A generator cannot be trained or sampled."""

    exit_code = 6


class VerificationError(ProofmintError):
    """A release does not match its manifest or its attestation."""

    exit_code = 7


class WorkspaceError(ProofmintError):
    """The project folder, git, DVC or a local server is not in the state that is needed."""

    exit_code = 8


class TargetUnavailable(WorkspaceError):
    """A publishing target did not answer; a later try may succeed."""

    retryable = True


class RemoteUnavailable(WorkspaceError):
    """The git remote did not answer or refused; a later try may succeed."""

    retryable = True


class RemoteMoved(WorkspaceError):
    """Another publisher was quicker at the git remote; fetch and look again."""

    retryable = True


class TrackingUnavailable(ProofmintError):
    """MLflow did not answer; a later try may succeed."""

    exit_code = 9
    retryable = True
