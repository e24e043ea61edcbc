#!/usr/bin/env bash
# kubectl patch: adding port 53 for TCP to a service turns port 53 for UDP into it.
#
# Versions:  Debian kubernetes-client 1.20.5+really1.20.2-1.1+deb12u1 (bookworm, amd64). Seen 2026-11-30.
# Expected:  a strategic merge patch adds what the list does not have. Ports are told apart by protocol and number, or
#            by their names, which have to differ.
# Happens:   the merge key of a service's ports is `port` alone. A port of the same number for the other protocol, under
#            another name, is taken for a change of the one there: UDP is gone, and resolvers with it. For the ports of
#            a container the key is `containerPort`, with the same result. The answer is "patched". A JSON patch
#            (`--type json`) that appends to the list adds the port.
# Setup:     `kubectl patch --local`, which applies the patch without a server.
# Output:    the service has: dns 53/UDP, metrics 9153/TCP
#            strategic, dns-tcp 53/TCP added: dns-tcp 53/TCP, metrics 9153/TCP
#            strategic, http 80/TCP added: http 80/TCP, dns 53/UDP, metrics 9153/TCP
#            json, dns-tcp 53/TCP added: dns 53/UDP, metrics 9153/TCP, dns-tcp 53/TCP
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root "kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1"
dpkg -x kubernetes-client_*.deb .
export HOME="$folder"

cat >service.yaml <<'YAML'
apiVersion: v1
kind: Service
metadata: { name: dns }
spec:
  ports:
    - { name: dns, port: 53, protocol: UDP }
    - { name: metrics, port: 9153, protocol: TCP }
YAML
ports='{range .spec.ports[*]}{.name} {.port}/{.protocol}, {end}'
# look WHAT ARGUMENT…: the ports after a patch.
look() {
  local what=$1
  shift
  local list
  list=$(timeout 60 usr/bin/kubectl patch --local -f service.yaml -o "jsonpath=$ports" "$@")
  echo "$what: ${list%, }"
}
tcp='{"name":"dns-tcp","port":53,"protocol":"TCP"}'
{
  look "the service has" -p '{}'
  look "strategic, dns-tcp 53/TCP added" -p "{\"spec\":{\"ports\":[$tcp]}}"
  look "strategic, http 80/TCP added" -p '{"spec":{"ports":[{"name":"http","port":80,"protocol":"TCP"}]}}'
  look "json, dns-tcp 53/TCP added" --type json -p "[{\"op\":\"add\",\"path\":\"/spec/ports/-\",\"value\":$tcp}]"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
the service has: dns 53/UDP, metrics 9153/TCP
strategic, dns-tcp 53/TCP added: dns-tcp 53/TCP, metrics 9153/TCP
strategic, http 80/TCP added: http 80/TCP, dns 53/UDP, metrics 9153/TCP
json, dns-tcp 53/TCP added: dns 53/UDP, metrics 9153/TCP, dns-tcp 53/TCP
EXPECTED
