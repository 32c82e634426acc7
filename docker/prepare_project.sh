#!/bin/sh
# The project that workers write to: a clone of the checkout, which is a folder or a URL, brought forward at each start.
set -eu
say() { echo "project: $*" >&2; }
# The checkout is another user's, which git allows where a configuration file says so.
GIT_CONFIG_GLOBAL=$(mktemp)
export GIT_CONFIG_GLOBAL
git config --global safe.directory "$PROOFMINT_CHECKOUT"
wanted=$(git ls-remote "$PROOFMINT_CHECKOUT" HEAD | cut -f1)
[ -n "$wanted" ] || {
    say "expected a git repository with a commit at $PROOFMINT_CHECKOUT that uid $(id -u) can read;" \
        "run compose in a clone of the project, and \`chmod -R go+rX .git\` if its files are private"
    exit 1
}
git init --quiet --initial-branch main
if ! git rev-parse --quiet --verify HEAD >/dev/null; then
    # Versions that the checkout knows go on here; their tags come with the commits that they name.
    git fetch --quiet "$PROOFMINT_CHECKOUT" HEAD 'refs/heads/datasets/*:refs/heads/datasets/*' 'refs/tags/*:refs/tags/*'
    git reset --quiet --hard "$wanted"
else
    git fetch --quiet --no-tags "$PROOFMINT_CHECKOUT" HEAD
    git merge --quiet --ff-only "$wanted" || {
        say "expected the checkout's commit $wanted to follow $(git rev-parse HEAD), which is here;" \
            "check out a commit that does, or take the project to another one by hand:" \
            "docker compose run --rm --entrypoint git project reset --hard COMMIT"
        exit 1
    }
fi
mkdir -p .proofmint releases
chmod 700 .proofmint
python -m compileall -q dags plugins tasks

# Where DVC pushes to: a folder, or a bucket whose keys are in a file that only workers have. Written anew at each start.
cat >.dvc/config.local <<END
[core]
    remote = storage
['remote "storage"']
    url = $PROOFMINT_REMOTE
END
say "at $(git log -1 --format='%h %s'); data is pushed to $PROOFMINT_REMOTE"
