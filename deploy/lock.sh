# Sourced at the root of a checkout by each script that changes a deployment: sets
# project to production's, holds its lock, and refuses to touch what another
# checkout deployed.
# shellcheck shell=sh
project=$(grep '^name:' compose.prod.yaml | docker compose --file - config | sed -n 's/^name: //p' | tr -d "\"'")
[ "$project" ] || {
	echo "$0: docker compose cannot read compose.prod.yaml, or is missing: tools/install-docker.sh" >&2
	exit 1
}
case $project in
receipts-demo* | receipts-dev)
	echo "$0: $project is a name of demos, which are removed with all that they stored, or of development: set RECEIPTS_PROJECT in .env to another one" >&2
	exit 1
	;;
esac
. deploy/hold.sh
docker ps --all --filter "label=com.docker.compose.project=$project" --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u | while read -r folder; do
	[ "$folder" -ef . ] || [ "$folder" -ef deploy/.deployed ] || {
		echo "$0: the project $project is deployed from ${folder%/deploy/.deployed}: work there, or give this one another name, as RECEIPTS_PROJECT=$project-second in .env. deploy/guide/deploy.md shows how a stack is moved here" >&2
		exit 1
	}
done || exit 1
