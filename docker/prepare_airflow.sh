#!/bin/sh
# Bring Airflow's tables up to date; make the first user and the pool of trainings, unless they are there.
set -eu
airflow db migrate
password=$(cat "$PROOFMINT_LOGINS/airflow")
# Asked for, not given as an argument, which `ps` would show.
printf '%s\n%s\n' "$password" "$password" |
    airflow users create --username admin --role Admin --firstname First --lastname Admin --email admin@localhost
# As many trainings at a time as there are GPUs, or one; who has changed the pool keeps it so.
airflow pools get gpu >/dev/null 2>&1 ||
    airflow pools set gpu "$PROOFMINT_GPU_SLOTS" "Trainings at a time: the number of GPUs, or one"
# Airflow's navigation shows pages of plugins, the catalogue among them, to whoever may read the list of plugins.
airflow roles add-perms Viewer User --action can_read --resource Plugins
