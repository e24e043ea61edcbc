#!/usr/bin/env bash
# Alertmanager: an inhibition whose `equal` names a label that no alert has silences alerts of every cluster.
#
# Versions:  Debian prometheus-alertmanager 0.25.0-1+b4 and libc6 (bookworm, amd64), any curl; as root, or where a
#            user may have namespaces. Seen 2026-11-30.
# Expected:  `equal: [cluster]` lets an alert silence others of its own cluster. With a misspelt label nothing is
#            equal, so that the rule does nothing: too many alerts, which one would see.
# Happens:   a label that is missing on both sides is equal. So the rule holds for any two alerts, and one cluster
#            that is down keeps the alerts of all others from whoever is on duty. `amtool check-config` has nothing to
#            say. It is the same when a label is renamed in the alerts.
# Setup:     ClusterDown in berlin is to silence NodeDown in berlin; NodeDown is there in berlin and in paris. Each
#            line is what is silenced.
# Output:    equal cluster: check-config 0, silenced NodeDown berlin
#            equal clustr: check-config 0, silenced NodeDown berlin, NodeDown paris
#            no equal: check-config 0, silenced NodeDown berlin, NodeDown paris
set -euo pipefail
folder=$(mktemp -d)
server=
trap '{ kill -KILL $server; wait; } 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
for package in prometheus-alertmanager=0.25.0-1+b4 libc6; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
url=http://127.0.0.1:24215
# Waits a minute at most.
await() { for _ in {1..300}; do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; echo "waited for: $*" >&2; return 1; }
alert() { printf '{"labels":{"alertname":"%s","cluster":"%s"}}' "$1" "$2"; }
number() { curl -sSf "$url/api/v2/alerts" | grep -o '"fingerprint"' | wc -l; }
silenced() {
  curl -sSf "$url/api/v2/alerts?active=false&inhibited=true" |
    grep -o '"alertname":"[^"]*","cluster":"[^"]*"' | sed 's/"alertname":"//; s/","cluster":"/ /; s/"//' | sort
}
# Inhibition is worked out when alerts are sent, and that is after the group's wait.
three_came() { [[ $(number) == 3 && -n $(silenced) ]]; }

# look WHAT EQUAL: what is silenced with a rule that has this line.
look() {
  local code=0 found
  cat >alertmanager.yml <<YAML
route: { receiver: nobody, group_wait: 1s }
receivers: [{ name: nobody }]
inhibit_rules:
  - source_matchers: [alertname = ClusterDown]
    target_matchers: [alertname = NodeDown]
    $2
YAML
  usr/bin/amtool check-config alertmanager.yml >/dev/null || code=$?
  rm -rf data
  # The program looks for its templates at a fixed path.
  unshare --map-root-user chroot "$folder" usr/bin/prometheus-alertmanager --config.file=/alertmanager.yml \
    --storage.path=/data --web.listen-address=127.0.0.1:24215 --cluster.listen-address= >alertmanager.log 2>&1 &
  server=$!
  await curl -sSf "$url/-/ready"
  curl -sSf "$url/api/v2/alerts" -H 'content-type: application/json' \
    -d "[$(alert ClusterDown berlin),$(alert NodeDown berlin),$(alert NodeDown paris)]"
  await three_came
  found=$(silenced | paste -sd, | sed 's/,/, /g')
  kill $server
  wait $server || true
  server=
  echo "$1: check-config $code, silenced $found"
}
{
  look "equal cluster" "equal: [cluster]"
  look "equal clustr" "equal: [clustr]"
  look "no equal" ""
} >output
cat output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
equal cluster: check-config 0, silenced NodeDown berlin
equal clustr: check-config 0, silenced NodeDown berlin, NodeDown paris
no equal: check-config 0, silenced NodeDown berlin, NodeDown paris
EXPECTED
