/** Verbs of keys, and what is no verb. */
import type { WrongUsage } from "./WrongUsage.ts"
import { longKey } from "./WrongUsage.ts"

export const keys: WrongUsage = {
  flaredb: [
    [["frobnicate"], /frobnicate.*; see flaredb --help/],
    [["--frobnicate"], /--frobnicate/]
  ],
  help: [
    [["help", "frobnicate"], /"frobnicate" is no command/],
    [["help", "lease", "frobnicate"], /"frobnicate" is no command/],
    [["help", "--frobnicate"], /--frobnicate/]
  ],
  put: [
    [["put"], /Missing required argument: key; see flaredb put --help/],
    [["put", "key"], /Missing required argument: value/],
    [["put", "key", "value", "more"], /"more"/],
    [["put", "key", "value", "--frobnicate"], /--frobnicate/],
    [["put", "", "value"], /invalid key: is empty/],
    [["put", longKey, "value"], /invalid key: has 4097 bytes; at most 4096/],
    [["put", "abc", "00", "--encoding", "hex"], /the key "abc" is not an even number of hex digits/],
    [["put", "abc", "x", "--key-encoding", "hex"], /the key "abc" is not an even number of hex digits/],
    [["put", "abc", "x", "--value-encoding", "hex"], /the value "x" is not an even number of hex digits/],
    // One character too few, one too many, bits that stand for nothing, and padding that does not fit.
    [["put", "k", "A", "--value-encoding", "base64"], /the value "A" is not base64/],
    [["put", "k", "AAAAA", "--value-encoding", "base64"], /the value "AAAAA" is not base64/],
    [["put", "k", "QR==", "--value-encoding", "base64"], /the value "QR==" is not base64/],
    [["put", "k", "AAA==", "--value-encoding", "base64"], /the value "AAA==" is not base64/],
    [["put", "k", "g".repeat(5_000), "--value-encoding", "hex"], /the value "g{60}…" is not/],
    [["put", "k", "v", "--lease", "0"], /--lease 0 is no lease id/],
    [["put", "--rows", "key"], /--rows reads keys and values from standard input: name none/],
    [["put", "key", "value", "--endpoints", "localhost"], /"localhost" is not an endpoint: the port is missing/]
  ],
  get: [
    [["get"], /Missing required argument: key/],
    [["get", "key", "--timeout", "soon"], /--timeout: "soon"/],
    [["get", "key", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1h/],
    [["get", "key", "--encoding", "morse"], /"morse".*"text" \| "hex" \| "base64"/],
    [["get", "--rows", "key"], /--rows reads keys from standard input: name none/],
    [["get", "--rows", "--raw"], /--rows prints JSON; leave --output and --raw out/],
    [["get", "key", "--output", ""], /--output is empty/],
    [["get", "key", "--output", "-", "--json"], /--json and --output - both print to standard output/],
    [["get", "key", "--force"], /--force goes with --output FILE/],
    [["get", "key", "-e", "a:1,b:2,a:1"], /"a:1".*named twice/],
    [["get", "key"], /"a:b" is not an endpoint/, { FLAREDB_ENDPOINTS: "a:b" }],
    [["get", "key"], /FLAREDB_ENDPOINTS is set and empty/, { FLAREDB_ENDPOINTS: "" }],
    [["get", "--wizard"], /--wizard asks questions on a terminal/],
    [["get", "key"], /^flaredb: the variable FLAREDB_TIMEOUT_MS is wrong: expected an integer; see/, {
      FLAREDB_TIMEOUT_MS: "soon"
    }]
  ],
  delete: [
    [["delete"], /Missing required argument: key/],
    [["delete", "a", "b"], /"b"/],
    [["delete", ""], /invalid key: is empty/],
    [["delete", "--prefix", ""], /the empty prefix is every key there is; add --all/],
    [["delete", "--all", "k"], /--all goes with --prefix ""/]
  ],
  scan: [
    [["scan", "a", "b"], /"b"/],
    [["scan", "--limit", "0"], /--limit 0 is less than 1/],
    [["scan", "--limit", "1.5"], /--limit: "1.5"/],
    [["scan", "--cursor", "xyz", "--encoding", "hex"], /the cursor "xyz" is not/],
    [["scan", "--cursor", "xyz", "--cursor-encoding", "hex"], /the cursor "xyz" is not/]
  ],
  count: [
    [["count", "a", "b"], /"b"/],
    [["count", "xyz", "--encoding", "hex"], /the prefix "xyz" is not/]
  ],
  watch: [
    [["watch", "a", "b"], /"b"/],
    [["watch", "--key"], /invalid key: is empty/],
    [["watch", "--from-revision", "0"], /invalid fromRevision: 0 /],
    [["watch", "--limit", "0"], /--limit 0 is less than 1/],
    [["watch", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1d/],
    [["watch", "xyz", "--encoding", "hex"], /the prefix "xyz" is not/]
  ],
  compact: [
    [["compact", "all"], /<revision>: "all"/],
    [["compact", "1", "2"], /"2"/],
    [["compact", "--", "-1"], /invalid revision: -1 /]
  ],
  txn: [
    [["txn"], /the transaction is empty/],
    [["txn", "--if", "misses k"], /'misses k' is no condition; write missing KEY/],
    [["txn", "--if", "version k = soon"], /'version k = soon' is no condition: "soon" is no whole number; write/],
    [["txn", "--if", "version k ~ 1"], /'version k ~ 1' is no condition: "~" compares nothing, = != < <= > >= do/],
    [["txn", "--if", "lease k = 9999999999999999"], /"9999999999999999" is no whole number/],
    [["txn", "--do", "put k 'hello world'"], /has single quotes, which mean nothing here; .* in double quotes/],
    [["txn", "--do", "put k v 0"], /the id of a lease, and "0" is none/],
    [
      ["txn", "--if", "value k = "],
      /'value k =' is no condition: the value is missing, and .* an empty one is written ""; /
    ],
    [["txn", "--if", "value k = hello world"], /is no condition: .*blanks goes in double quotes/],
    [["txn", "--do", "put k"], /'put k' is no operation: the value is missing, .*; write put KEY VALUE/],
    [
      ["txn", "--do", "put k hello world"],
      /the id of a lease, and "world" is none; .*as in put KEY "hello world"/
    ],
    [["txn", "--do", "put k hello wide world"], /is no operation: a word with blanks goes in double quotes/],
    [["txn", "--do", "delete k l"], /'delete k l' is no operation: it has 3 words, and a word with blanks/],
    [["txn", "--do", ""], /an empty clause is no operation/],
    [["txn", "--do", "put k \"hello"], /a double quote that does not fit/],
    [["txn", "--do", "put k a\"b"], /a double quote that does not fit/],
    [["txn", "--do", "put k \"a\"b"], /a double quote that does not fit/],
    [["txn", "--do", "put k \"\\x\""], /in quotes that is not JSON: "\\x"/],
    [["txn", "--do", "put k \"\\ud800\""], /the value .*half of a surrogate pair/],
    [["txn", "--do", "put k v", "-"], /with - alone/],
    [["txn", "--else", "get \"\""], /invalid else\[0\]\.key: is empty/]
  ]
}
