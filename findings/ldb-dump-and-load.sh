#!/usr/bin/env bash
# ldb: what `dump` writes comes back from `load` under other keys and cut off, and the exit code is 0.
#
# Versions:  Debian rocksdb-tools and librocksdb7.8 7.8.3-2, libgflags2.2 2.2.2-2, libsnappy1v5 1.1.9-3 (bookworm,
#            amd64). Seen 2026-11-30.
# Expected:  `load` is the reverse of `dump`, or fails for what it cannot read. Keys and values of RocksDB are any
#            bytes.
# Happens:   a line is `key ==> value`, and nothing is escaped. A key that has ` ==> ` is cut there, and the rest of it
#            begins the value, so that two keys can become one. Of a value with an end of line the first line is left,
#            and a key with one comes back as its last line; the others are "bad lines", which a warning counts. Other
#            column families are not dumped at all, without a word. With `--hex` for both commands keys and values come
#            back; of the column families each has to be named.
# Setup:     a store with five keys, one of them in a second column family, and what is in the store that is loaded.
# Output:    dump and load, exit code 0: Warning: 2 bad lines ignored.
#              a: b ==> 1
#              end: 2
#              note: first
#              plain: 4
#            dump and load --hex, exit code 0:
#              a ==> b: 1
#              in an\nend: 2
#              note: first\nsecond
#              plain: 4
#            column families: of the store default and jobs, of the loaded one default
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in rocksdb-tools=7.8.3-2 librocksdb7.8=7.8.3-2 libgflags2.2=2.2.2-2 libsnappy1v5=1.1.9-3 liblz4-1 \
  libzstd1 libbz2-1.0; do
  apt-get download -qq -o APT::Sandbox::User=root "$package"
  dpkg -x "${package%%=*}"_*.deb .
done
library="$folder/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$library:$folder/lib/x86_64-linux-gnu"

# ldb STORE ARGUMENT…
ldb() {
  local store=$1
  shift
  timeout 20 usr/bin/ldb "--db=$folder/$store" "$@"
}
# text HEX: what it stands for, an end of line as \n.
text() {
  local found
  found=$(printf '%b.' "$(sed 's/^0x//; s/../\\x&/g' <<<"$1")")
  found=${found%.}
  echo "${found//$'\n'/\\n}"
}
# copy TO OPTION…: loads what is dumped, and says what is there then.
copy() {
  local to=$1 code=0
  shift
  ldb store "$@" dump >dumped
  ldb "$to" "$@" --create_if_missing load <dumped >said 2>&1 || code=$?
  echo "dump and load${*:+ $*}, exit code $code:$(sed 's/^/ /' said)"
  ldb "$to" --hex scan | while read -r key _ value; do echo "  $(text "$key"): $(text "$value")"; done
}
families() { ldb "$1" list_column_families | sed -n 's/^{\(.*\)}$/\1/p' | sed 's/, / and /'; }

{
  ldb store --create_if_missing put plain 4
  ldb store put 'a ==> b' 1
  ldb store put $'in an\nend' 2
  ldb store put note $'first\nsecond'
  ldb store create_column_family jobs
  ldb store --column_family=jobs put mail 5
} >/dev/null
{
  copy loaded
  copy loaded-hex --hex
  echo "column families: of the store $(families store), of the loaded one $(families loaded)"
} | tee output
diff - output <<'EXPECTED' || { echo "the behaviour has changed" >&2; exit 1; }
dump and load, exit code 0: Warning: 2 bad lines ignored.
  a: b ==> 1
  end: 2
  note: first
  plain: 4
dump and load --hex, exit code 0:
  a ==> b: 1
  in an\nend: 2
  note: first\nsecond
  plain: 4
column families: of the store default and jobs, of the loaded one default
EXPECTED
