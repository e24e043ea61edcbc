#!/usr/bin/env bash
# openssl x509: for a name that the certificate does not have, the exit code of `-checkhost` is 0; `-checkend` has 1.
#
# Versions:  Debian openssl and libssl3 3.0.20-1~deb12u2 (bookworm, amd64). Seen 2026-11-30.
# Expected:  the three checks of this command (`-checkend`, `-checkhost`, `-checkip`) say by the exit code whether
#            they held, so that a script or a unit can stop before it puts a wrong certificate in place.
# Happens:   `-checkend` alone does. The other two print a sentence, and the code is 0 whatever it says. A script that
#            checks the time and the name of a new certificate with `&&` refuses one that ends soon, which shows that
#            it works, and installs that of another node. `openssl verify -verify_hostname` has a code.
# Setup:     a certificate of 30 days for node-1.example and 10.0.0.1, which is its own authority.
# Output:    -checkhost node-1.example: 0, does match
#            -checkhost node-2.example: 0, does NOT match
#            -checkip 10.0.0.1: 0, does match
#            -checkip 10.0.0.2: 0, does NOT match
#            -checkend, one day: 0, will not expire
#            -checkend, 60 days: 1, will expire
#            verify -verify_hostname node-1.example: 0
#            verify -verify_hostname node-2.example: 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in openssl libssl3; do
  apt-get download -qq -o APT::Sandbox::User=root "$package=3.0.20-1~deb12u2"
  dpkg -x "$package"_*.deb .
done
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu" OPENSSL_CONF="$folder/openssl.cnf"
export OPENSSL_MODULES="$LD_LIBRARY_PATH/ossl-modules"
printf '[req]\ndistinguished_name = name\n[name]\n' >openssl.cnf
openssl=usr/bin/openssl
$openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out node.pem -days 30 \
  -subj /CN=node -addext "subjectAltName=DNS:node-1.example,IP:10.0.0.1" 2>/dev/null

# check WHAT OPTION…: the exit code, and what is said about it.
check() {
  local what=$1 code=0
  shift
  $openssl x509 -in node.pem -noout "$@" >log 2>&1 || code=$?
  echo "$what: $code, $(grep -o 'does.* match\|will.* expire' log)"
}
verify() {
  local code=0
  $openssl verify -CAfile node.pem -verify_hostname "$1" node.pem >log 2>&1 || code=$?
  echo "verify -verify_hostname $1: $code"
}
{
  check "-checkhost node-1.example" -checkhost node-1.example
  check "-checkhost node-2.example" -checkhost node-2.example
  check "-checkip 10.0.0.1" -checkip 10.0.0.1
  check "-checkip 10.0.0.2" -checkip 10.0.0.2
  check "-checkend, one day" -checkend 86400
  check "-checkend, 60 days" -checkend 5184000
  verify node-1.example
  verify node-2.example
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
-checkhost node-1.example: 0, does match
-checkhost node-2.example: 0, does NOT match
-checkip 10.0.0.1: 0, does match
-checkip 10.0.0.2: 0, does NOT match
-checkend, one day: 0, will not expire
-checkend, 60 days: 1, will expire
verify -verify_hostname node-1.example: 0
verify -verify_hostname node-2.example: 2
EXPECTED
