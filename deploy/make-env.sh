#!/bin/sh
# Writes the secrets of deploy/compose.yaml into .env beside it, once; those that are there stay.
set -euC
umask 077
cd "$(dirname "$0")"
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
cat > .env <<END
# At the first start alone; the coordinators keep its hash. Take it out when you have it elsewhere.
SALT_FIRST_ADMIN_TOKEN=salt_$(random)
SALT_AGENT_TOKEN=salt_$(random)
SALT_S3_KEY=salt
SALT_S3_SECRET=$(random)
# Of Redis: everysec may lose the last second when the machine dies; always loses nothing, for a flush a commit.
SALT_APPENDFSYNC=everysec
END
