#!/usr/bin/env bash
# promtool test rules: a test that an alert does not fire passes for an alert that does not exist.
#
# Versions:  Debian prometheus 2.42.0+ds-5+deb12u1 (bookworm, amd64). Seen 2026-11-29.
# Expected:  a test names the alert that it is about; a name that no rule has is an error. So is a rule file that is
#            not there: without rules there is nothing to test.
# Happens:   the test asks which alerts of that name fire, and none do. `exp_alerts: []`, or leaving it out, is what it
#            found. After an alert is renamed its tests that it stays silent pass, whatever it does; only those that it
#            fires fail. A pattern of `rule_files` that matches no file is a warning, and the tests pass as well.
# Setup:     an alert NodeDown on a node that is down all the time.
# Output:    NodeDown fires: SUCCESS, exit code 0
#            NodeDown does not fire: FAILED, exit code 1
#            NodeDwn does not fire: SUCCESS, exit code 0
#            NodeDown does not fire, rules of no file: SUCCESS, exit code 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root prometheus=2.42.0+ds-5+deb12u1
dpkg -x prometheus_*.deb .

cat >rules.yml <<'YAML'
groups:
  - name: nodes
    rules:
      - alert: NodeDown
        expr: up == 0
YAML
# run WHAT ALERT EXPECTED RULES: how promtool ends.
run() {
  cat >test.yml <<YAML
rule_files: ["$4"]
tests:
  - interval: 1m
    input_series:
      - series: up{job="node"}
        values: 0x10
    alert_rule_test:
      - eval_time: 5m
        alertname: $2
        exp_alerts: $3
YAML
  local code=0
  usr/bin/promtool test rules test.yml >log 2>&1 || code=$?
  echo "$1: $(grep -o 'SUCCESS\|FAILED' log), exit code $code"
}
{
  run "NodeDown fires" NodeDown '[{ exp_labels: { job: node } }]' rules.yml
  run "NodeDown does not fire" NodeDown '[]' rules.yml
  run "NodeDwn does not fire" NodeDwn '[]' rules.yml
  run "NodeDown does not fire, rules of no file" NodeDown '[]' 'alerts-*.yml'
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
NodeDown fires: SUCCESS, exit code 0
NodeDown does not fire: FAILED, exit code 1
NodeDwn does not fire: SUCCESS, exit code 0
NodeDown does not fire, rules of no file: SUCCESS, exit code 0
EXPECTED
