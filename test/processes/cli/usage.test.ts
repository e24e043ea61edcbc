/** Wrong usage of every command: exit code 2, nothing on standard output, and one line that names what is wrong. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./CommandLine.ts"
import { verbs } from "./Verbs.ts"

type Wrong = readonly [args: ReadonlyArray<string>, says: RegExp, env?: Readonly<Record<string, string>>]

const longKey = "k".repeat(4097)
const twoVoters = "1=127.0.0.1:1:2:3,2=127.0.0.1:4:5:6"
const sameIds = "1=a:1:2:3,2=a:4:5:6,2=a:7:8:9"

const wrong: Readonly<Record<string, ReadonlyArray<Wrong>>> = {
  flaredb: [
    [["frobnicate"], /frobnicate.*; see flaredb --help/],
    [["--frobnicate"], /--frobnicate/]
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
    [["get", "key"], /FLAREDB_TIMEOUT_MS/, { FLAREDB_TIMEOUT_MS: "soon" }]
  ],
  help: [
    [["help", "frobnicate"], /"frobnicate" is no command/],
    [["help", "lease", "frobnicate"], /"frobnicate" is no command/],
    [["help", "--frobnicate"], /--frobnicate/]
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
  ],
  "lease grant": [
    [["lease", "grant"], /Missing required argument: ttl/],
    [["lease", "grant", "soon"], /soon/],
    [["lease", "grant", "3600"], /a duration with its unit: 3600s for seconds/],
    [["lease", "grant", "10ms"], /invalid ttlMs: 10 is not an integer from 1000/]
  ],
  "lease keep-alive": [[["lease", "keep-alive", "0"], /0 is no lease id/]],
  "lease revoke": [[["lease", "revoke", "x"], /"x"/]],
  "lease ttl": [[["lease", "ttl"], /Missing required argument: id/]],
  "lease list": [[["lease", "list", "all"], /"all"/]],
  "session list": [
    [["session", "list", "all"], /"all"/],
    [["session", "list", "--limit", "0"], /--limit 0 is less than 1/],
    [["session", "list", "--after", "x"], /--after: "x"/]
  ],
  "session end": [
    [["session", "end"], /Missing required argument: id/],
    [["session", "end", "0"], /0 is no session id/],
    [["session", "end", "x"], /"x"/]
  ],
  "access role put": [
    [["access", "role", "put"], /Missing required argument: name/],
    [["access", "role", "put", "a"], /the role would allow nothing; give --read, --write or --admin/],
    [["access", "role", "put", "a", "--read", "a/,"], /--read "a\/," has an empty part/],
    [["access", "role", "put", "a", "--write", "xyz", "--encoding", "hex"], /the prefix of --write "xyz" is not/],
    [["access", "role", "put", "no name", "--admin"], /invalid name: "[^"]*" is not 1 to 64 letters/]
  ],
  "access role delete": [
    [["access", "role", "delete"], /Missing required argument: name/],
    [["access", "role", "delete", "admin"], /invalid name: admin is built in/],
    [["access", "role", "delete", "a", "b"], /"b"/]
  ],
  "access role list": [
    [["access", "role", "list", "all"], /"all"/],
    [["access", "role", "list", "--encoding", "morse"], /"morse"/],
    [["access", "role", "list", "--limit", "1"], /--limit/]
  ],
  "access user put": [
    [["access", "user", "put"], /Missing required argument: name/],
    [["access", "user", "put", "a", "--role", "b,,c"], /--role "b,,c" has an empty part/],
    [["access", "user", "put", "a", "--max-leases", "many"], /--max-leases: "many"/],
    [["access", "user", "put", "a", "--max-sessions", "-1"], /invalid maxSessions: -1 is not an integer/]
  ],
  "access user delete": [
    [["access", "user", "delete"], /Missing required argument: name/],
    [["access", "user", "delete", ""], /invalid name: "[^"]*" is not 1 to 64 letters/],
    [["access", "user", "delete", "a", "b"], /"b"/]
  ],
  "access user list": [
    [["access", "user", "list", "all"], /"all"/],
    [["access", "user", "list", "--timeout", "soon"], /--timeout: "soon"/],
    [["access", "user", "list", "--role", "a"], /--role/]
  ],
  "access token create": [
    [["access", "token", "create"], /Missing required argument: name/],
    [["access", "token", "create", "a", "--expires", "90"], /a duration with its unit/],
    [["access", "token", "create", "a", "--expires", "0"], /--expires is not above 0/],
    [["access", "token", "create", "a", "--expires", "99999999d"], /--expires is more than 36500d; leave it out/],
    [["access", "token", "create", "no name"], /invalid user: "no name" is not 1 to 64 letters/]
  ],
  "access token remove": [
    [["access", "token", "remove", "a"], /Missing required argument: id/],
    [["access", "token", "remove", "a", "0"], /0 is no number of a token/],
    [["access", "token", "remove", "a", "x"], /"x"/]
  ],
  "access whoami": [
    [["access", "whoami", "me"], /"me"/],
    [["access", "whoami", "-e", "localhost"], /the port is missing/],
    [["access", "whoami", "--timeout", "0"], /--timeout 0ms is not from/]
  ],
  "actors runners": [
    [["actors", "runners", "all"], /"all"/],
    [["actors", "runners", "--cluster", ""], /--cluster is empty/],
    [["actors", "runners", "--endpoints", "localhost"], /"localhost" is not an endpoint/]
  ],
  "actors shards": [
    [["actors", "shards", "all"], /"all"/],
    [["actors", "shards", "--shards-per-group", "0"], /--shards-per-group 0 is not from 1 to 100000/],
    [["actors", "shards"], /SHARDS_PER_GROUP/, { SHARDS_PER_GROUP: "many" }]
  ],
  "actors entities": [
    [["actors", "entities", "all"], /"all"/],
    [["actors", "entities", "--older-than", "60"], /a duration with its unit/],
    [["actors", "entities", "--limit", "0"], /--limit 0 is not from 1 to 10000/],
    [["actors", "entities", "--type", ""], /the type is empty/]
  ],
  "actors messages": [
    [["actors", "messages", "Account"], /Missing required argument: id/],
    [["actors", "messages", "", "1"], /the type is empty/],
    [["actors", "messages", "Account", ""], /the id is empty/],
    [["actors", "messages", "Account", "1", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors queues": [
    [["actors", "queues", "all"], /"all"/],
    [["actors", "queues", "--cluster", ""], /--cluster is empty/],
    [["actors", "queues", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1h/]
  ],
  "actors dead-letters": [
    [["actors", "dead-letters"], /Missing required argument: queue/],
    [["actors", "dead-letters", ""], /the queue is empty/],
    [["actors", "dead-letters", "mails", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors retry": [
    [["actors", "retry"], /Missing required argument: queue/],
    [["actors", "retry", "mails"], /name a dead letter, or add --all to retry every one of them/],
    [["actors", "retry", "mails", "1", "--all"], /--all is every dead letter: name none/],
    [["actors", "retry", "mails", ""], /the id is empty/]
  ],
  "actors drop": [
    [["actors", "drop"], /Missing required argument: queue/],
    [["actors", "drop", "mails"], /name a dead letter, or add --all to drop every one of them/],
    [["actors", "drop", "mails", "1", "--all"], /--all is every dead letter: name none/]
  ],
  "actors workflows": [
    [["actors", "workflows", "Order"], /"Order"/],
    [["actors", "workflows", "--name", ""], /the name is empty/],
    [["actors", "workflows", "--limit", "0"], /--limit 0 is less than 1/]
  ],
  "actors singletons": [
    [["actors", "singletons", "all"], /"all"/],
    [["actors", "singletons", "--cluster", ""], /--cluster is empty/],
    [["actors", "singletons", "--limit", "1"], /--limit/]
  ],
  "actors interrupt message": [
    [["actors", "interrupt", "message"], /Missing required argument: id/],
    [["actors", "interrupt", "message", "first"], /"first" is no id of a message/],
    [["actors", "interrupt", "message", "1", "2"], /"2"/]
  ],
  "actors interrupt workflow": [
    [["actors", "interrupt", "workflow", "Order"], /Missing required argument: execution/],
    [["actors", "interrupt", "workflow", "", "1"], /the name is empty/],
    [["actors", "interrupt", "workflow", "Order", ""], /the execution is empty/]
  ],
  "actors clear": [
    [["actors", "clear", "Account"], /Missing required argument: id/],
    [["actors", "clear", "", "1"], /the type is empty/],
    [["actors", "clear", "Account", "1", "--yes", "2"], /"2"/]
  ],
  "actors migrate": [
    [["actors", "migrate", "all"], /"all"/],
    [["actors", "migrate"], /--from is missing/, { DATABASE_URL: "" }],
    [["actors", "migrate", "--from", "mysql://db/app"], /only PostgreSQL is supported/],
    [["actors", "migrate", "--from", "postgres://db/app", "--dry-run", "--verify"], /exclude each other/],
    [["actors", "migrate", "--from", "postgres://db/app", "--cluster", ""], /--cluster is empty/]
  ],
  "import etcd": [
    [["import", "etcd"], /--from is missing: which etcd is to be imported\?/],
    [["import", "etcd", "--from", "http://a:2379/v3"], /"http:\/\/a:2379\/v3" is no client URL of etcd/],
    [["import", "etcd", "--from", "a:2379", "--dry-run", "--verify-only"], /--dry-run and --verify-only exclude/],
    [["import", "etcd", "--from", "a:2379", "--user", "me"], /--user and --password-file belong together/],
    [["import", "etcd", "--from", "a:2379", "--etcd-cert", "c"], /--etcd-cert and --etcd-key belong together/],
    [["import", "etcd", "--from", "a:2379", "--etcd-cacert", "nowhere"], /--etcd-cacert nowhere: /],
    [["import", "etcd", "--from", "a:2379", "--if-exists", "merge"], /"merge"/],
    [["import", "etcd", "--from", "a:2379", "--exact"], /--exact without a prefix is about every key.*add --all/],
    [["import", "etcd", "--from", "a:2379", "--rate", "0"], /--rate 0 is not at least 1/],
    [["import", "etcd", "--from", "a:2379", "--max-lease", "5ms"], /--max-lease is less than 1s/],
    [["import", "etcd", "--from", "a:2379", "--to-prefix", "flaredb-import/x"], /imports keep their state under/],
    [["import", "consul"], /"consul"/]
  ],
  backup: [
    [["backup"], /Missing required argument: file/],
    [["backup", "a", "b"], /"b"/],
    [["backup", ""], /the name of the backup file is empty/],
    [["backup", "a", "--frobnicate"], /--frobnicate/],
    [["backup", "a", "--replaced"], /--replaced goes with --from DIR/]
  ],
  "backups run": [
    [["backups", "run"], /--dir/],
    [["backups", "run", "--dir", ""], /--dir is empty; name a folder/],
    [["backups", "run", "--dir", "/nowhere"], /--dir \/nowhere is no folder; make it first: mkdir/],
    [["backups", "run", "--dir", "/tmp", "--every", "10s"], /--every 10s is not from 1m to 366d/],
    [["backups", "run", "--dir", "/tmp", "--keep-daily", "-1"], /--keep-daily -1 is not from 0 to 10000/],
    [["backups", "run", "--dir", "/tmp", "--metrics-file", ""], /--metrics-file is empty/]
  ],
  "backups list": [
    [["backups", "list"], /--dir/],
    [["backups", "list", "--dir", "package.json"], /--dir package.json is no folder; name one/],
    [["backups", "list", "--dir", "/tmp", "x"], /"x"/]
  ],
  "backups verify": [
    [["backups", "verify"], /Missing required argument: file/],
    [["backups", "verify", ""], /the name of the backup file is empty/],
    [["backups", "verify", "a", "b"], /"b"/]
  ],
  "backups drill": [
    [["backups", "drill"], /Missing required argument: file/],
    [["backups", "drill", ""], /the name of the backup file is empty/],
    [["backups", "drill", "a", "--work", ""], /--work is empty; name a folder/]
  ],
  "backups at": [
    [["backups", "at", "a", "--output", "c", "--revision", "1"], /Missing required argument: later/],
    [["backups", "at", "a", "b", "--revision", "1"], /--output/],
    [["backups", "at", "a", "b", "--output", "c", "--revision", "0"], /--revision is at least 1/],
    [["backups", "at", "a", "b", "--output", "c"], /give either --revision or --time/],
    [
      ["backups", "at", "a", "b", "--output", "c", "--revision", "1", "--time", "x"],
      /give either --revision or --time/
    ],
    [["backups", "at", "a", "b", "--output", "c", "--time", "2026-11-29"], /--time is no time with its zone/],
    [["backups", "at", "a", "b", "--output", "", "--revision", "1"], /the name of a file is empty/]
  ],
  restore: [
    [["restore"], /Missing required argument: file/],
    [["restore", "a", "b"], /"b"/],
    [["restore", "a", "--node-id", "x"], /--node-id: "x"/],
    [["restore", "-"], /a backup is read twice.*save standard input to a file/]
  ],
  verify: [
    [["verify", "all"], /"all"/],
    [["verify", "--timeout", "0"], /--timeout 0/],
    [["verify", "--endpoints", ""], /it is empty/]
  ],
  elect: [
    [["elect"], /Missing required argument: name/],
    [["elect", ""], /invalid name: is empty; give the election a name/],
    [["elect", "a", "b", "c"], /"c"/],
    [["elect", "a", "b", "--listen"], /--listen only looks on/],
    [["elect", "a", "--limit", "1"], /--limit goes with --listen/],
    [["elect", "a", "--listen", "--limit", "0"], /--limit 0 is less than 1/],
    [["elect", "a", "xyz", "--encoding", "hex"], /the value "xyz" is not an even number of hex digits/],
    [["elect", "a", "--ttl", "5ms"], /invalid ttlMs: 5/]
  ],
  lock: [
    [["lock"], /Missing required argument: name/],
    [["lock", "a"], /command/],
    [["lock", "a", "--ttl", "5ms", "--", "true"], /invalid ttlMs: 5/],
    [["lock", "", "--", "true", "--wizard"], /invalid name: is empty/],
    [["lock", "", "--", "true"], /invalid name: is empty; give the lock a name/],
    [["lock", "é".repeat(700), "--", "true"], /invalid name: takes 4214 bytes of a key; at most 4082/],
    [["lock", "a", "--", ""], /the command to run is empty/],
    [["lock", "a", "--timeout", "0", "--", "true"], /--timeout 0ms is not from 1ms to 1d/]
  ],
  bench: [
    [["bench", "now"], /"now"/],
    [["bench", "--clients", "1,0"], /--clients: "0" is not an integer from 1 to 100000/],
    [["bench", "--operations", "read"], /--operations: "read" is not one of put, get/],
    [["bench", "--keys", "0"], /--keys 0 is not from 1 to 10000000/],
    [["bench", "--connections", "0"], /--connections 0 is not from 1 to 1000/],
    [["bench", "--warm-up", "2"], /a duration with its unit: 2s for seconds/],
    [["bench", "--heat-up", "2h"], /--heat-up 2h is not from 0ms to 1h/],
    [["bench", "--nodes", "here"], /"here" is not ID=HOST:CLIENT:PEER:HTTP/]
  ],
  status: [
    [["status", "all"], /"all"/],
    [["status", "--endpoints", ""], /it is empty/],
    [["status", "--endpoints", "http://127.0.0.1:7001"], /it has a scheme/],
    [["status", "--endpoints", "127.0.0.1:70000"], /"70000" is not a port/]
  ],
  "transfer-leader": [
    [["transfer-leader", "2"], /"2"/],
    [["transfer-leader", "--to", "two"], /--to: "two"/],
    [["transfer-leader", "--frobnicate"], /--frobnicate/]
  ],
  start: [
    [["start"], /Missing required flag: --node-id/],
    [["start", "--node-id", "1.5"], /--node-id: "1.5"/],
    [["start", "--node-id", "9"], /nodeId: 9 is not one of the voters \(1, 2, 3\)/],
    [["start", "--node-id", "1", "--nodes", twoVoters], /2 voters given; a cluster has 1 or 3/],
    [["start", "--node-id", "1", "--nodes", sameIds], /node id 2 is given twice/],
    [["start", "--node-id", "1", "--nodes", "1=127.0.0.1"], /"1=127\.0\.0\.1" is not ID=HOST:CLIENT:PEER:HTTP/],
    [["start", "--node-id", "1", "--log-format", "xml"], /"xml"/],
    [["start"], /FLAREDB_NODE_ID/, { FLAREDB_NODE_ID: "first" }]
  ],
  "cluster version": [
    [["cluster", "version", "now"], /"now"/],
    [["cluster", "version", "--endpoints", "localhost"], /"localhost" is not an endpoint/]
  ],
  "upgrade check": [
    [["upgrade", "check", "now"], /"now"/],
    [["upgrade", "check", "--backup", ""], /--backup is empty/],
    [["upgrade", "check", "--backup", "b", "--skip-backup"], /--backup and --skip-backup contradict/],
    [["upgrade", "check", "--expires-within=-1d"], /--expires-within must not be negative/],
    [["upgrade", "check", "--local"], /--local needs something to look at/]
  ],
  cluster: [
    [["cluster", "now"], /"now"/],
    [["cluster", "--nodes", twoVoters], /2 voters given/],
    [["cluster", "--cluster-id", "my cluster"], /clusterId: "my cluster"/],
    [["cluster", "--data-dir", ""], /--data-dir is empty/]
  ],
  top: [
    [["top", "x"], /"x"/],
    [["top", "--interval", "1ms"], /--interval 1ms is not from 200ms to 1h/],
    [["top", "--nodes", "1"], /"1" is not ID=HOST:CLIENT:PEER:HTTP/],
    [["top", "--nodes", twoVoters], /2 voters given/]
  ],
  doctor: [
    [["doctor", "x"], /"x"/],
    [["doctor", "--local", "--no-disk", "--data-dir", ""], /--data-dir is empty; name a folder/],
    [["doctor", "--local", "--no-disk", "--backup-dir", ""], /--backup-dir is empty; name a folder/],
    [["doctor", "--local", "--no-disk", "--backup-age", "0"], /--backup-age must be more than 0/],
    [["doctor", "--no-disk", "--nodes", sameIds], /node id 2 is given twice/]
  ],
  "support-bundle": [
    [["support-bundle"], /Missing required argument: file/],
    [["support-bundle", ""], /the name of the bundle is empty/],
    [["support-bundle", "-"], /a bundle is a file; name one/],
    [["support-bundle", "package.json"], /package.json exists already; give another name, or --force/],
    [["support-bundle", "x", "--backup-age", "0"], /--backup-age must be more than 0/]
  ],
  reclaim: [
    [["reclaim"], /Missing required argument: directory/],
    [["reclaim", "a", "b"], /"b"/],
    [["reclaim", "--frobnicate", "a"], /--frobnicate/]
  ],
  inspect: [
    [["inspect"], /Missing required argument: directory/],
    [["inspect", "x", "--entries", "-1"], /--entries -1/],
    [["inspect", "x", "--from", "0"], /--from 0/]
  ],
  replay: [
    [["replay"], /Missing required argument: file/],
    [["replay", "x", "y"], /"?y"?/],
    [["replay", "x", "--from", "0"], /--from/]
  ],
  "config check": [
    [["config", "check"], /Missing required flag: --node-id/],
    [["config", "verify"], /"verify"/],
    [["config", "check", "--node-id", "1", "--heartbeat-ms", "0", "--cluster-id", "a b"], /clusterId: .*heartbeatMs: /],
    [["config", "check"], /FLAREDB_UNSAFE_NO_FSYNC/, { FLAREDB_NODE_ID: "1", FLAREDB_UNSAFE_NO_FSYNC: "maybe" }],
    [["config", "check"], /FLAREDB_MAX_WATCHERS is no setting/, { FLAREDB_NODE_ID: "1", FLAREDB_MAX_WATCHERS: "9" }]
  ],
  "cert ca": [
    [["cert", "ca"], /Missing required flag: --cluster/],
    [["cert", "ca", "--cluster", "my cluster"], /"my cluster" is no name of a cluster: it needs 1 to 64 letters/],
    [["cert", "ca", "--cluster", "prod", "--days", "0"], /--days 0 is not from 1 to 36500/],
    [["cert", "ca", "--cluster", "prod", "--certs-dir", ""], /--certs-dir is empty/]
  ],
  "cert node": [
    [["cert", "node"], /Missing required argument: id/],
    [["cert", "node", "0"], /0 is no node id/],
    [["cert", "node", "one"], /"one"/],
    [
      ["cert", "node", "1", "--certs-dir", "nowhere"],
      /there is no authority in nowhere: make one with flaredb cert ca/
    ],
    [["cert", "node", "1", "--renew-within", "30"], /a duration with its unit: 30s for seconds/]
  ],
  "cert client": [
    [["cert", "client"], /Missing required argument: name/],
    [["cert", "client", "a", "b"], /"b"/],
    [["cert", "client", "a", "--days", "40000"], /--days 40000 is not from 1 to 36500/],
    [["cert", "client", "a", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert show": [
    [["cert", "show"], /Missing required argument: source/],
    [["cert", "show", ""], /the source is empty; give a file, or HOST:PORT/],
    [["cert", "show", "nowhere.crt"], /nowhere.crt is no file that exists, and no HOST:PORT/],
    [["cert", "show", "a:1", "--timeout", "2m"], /--timeout 2m is not from 1ms to 1m/]
  ],
  "cert check": [
    [["cert", "check", "all"], /"all"/],
    [["cert", "check", "--certs-dir", ""], /--certs-dir is empty/],
    [["cert", "check", "--nodes", "here"], /"here" is not ID=HOST:CLIENT:PEER:HTTP/],
    [["cert", "check", "--expires-within", "30"], /a duration with its unit/]
  ],
  "cert rotate-ca begin": [
    [["cert", "rotate-ca", "begin", "now"], /"now"/],
    [["cert", "rotate-ca", "begin", "--days", "0"], /--days 0 is not from 1 to 36500/],
    [["cert", "rotate-ca", "begin", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert rotate-ca reissue": [
    [["cert", "rotate-ca", "reissue", "now"], /"now"/],
    [["cert", "rotate-ca", "reissue", "--days", "x"], /--days: "x"/],
    [["cert", "rotate-ca", "reissue", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert rotate-ca finish": [
    [["cert", "rotate-ca", "finish", "now"], /"now"/],
    [["cert", "rotate-ca", "finish", "--endpoints", "localhost"], /"localhost" is not an endpoint/],
    [["cert", "rotate-ca", "finish", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1m/],
    [["cert", "rotate-ca", "finish", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ]
}

/** What the benchmark starts by itself: it is in no help. */
const internal = "bench-load"

const documented = verbs.filter((verb) => verb !== internal)

describe("wrong usage", () => {
  it("is tried on every verb there is", () => {
    assert.deepStrictEqual(Object.keys(wrong).filter((verb) => verb !== "flaredb").sort(), documented)
  })

  for (const [verb, cases] of Object.entries(wrong)) {
    it.live(
      `of ${verb} is refused before anything is tried`,
      () =>
        Effect.forEach(cases, ([args, says, env = {}]) =>
          Effect.map(run(args, { env }), ({ code, err, out }) => {
            const shown = `flaredb ${args.join(" ").slice(0, 80)}\n${out}${err}`
            assert.strictEqual(code, 2, shown)
            assert.strictEqual(out, "", shown)
            assert.match(err, args.includes("--json") ? /^\{"error":[^\n]+\n$/ : /^flaredb: [^\n]+\n$/, shown)
            assert.match(err, says, shown)
          }), { concurrency: 2, discard: true }).pipe(Effect.provide(NodeServices.layer)),
      120_000
    )

    it.live(
      `of ${verb} is an object on standard error with --json`,
      () => {
        const [[args, says, env = {}] = [[], /^/]] = cases as readonly [Wrong, ...ReadonlyArray<Wrong>]
        const [first = "", ...rest] = args
        return Effect.map(
          run([first, ...verb.split(" ").slice(1), "--json", ...rest.slice(verb.split(" ").length - 1)], { env }),
          ({ code, err, out }) => {
            assert.deepStrictEqual({ code, out }, { code: 2, out: "" }, err)
            const { error } = JSON.parse(err)
            assert.strictEqual(error.exitCode, 2)
            assert.isString(error.tag)
            // Verbs without output have no such flag, and say that.
            if (!error.message.includes("--json")) assert.match(error.message, says)
          }
        ).pipe(Effect.provide(NodeServices.layer))
      },
      300_000
    )
  }
})

describe("help", () => {
  it.live(
    "of the whole lists every command; of each command it has a usage line and an example",
    () =>
      Effect.gen(function*() {
        const root = yield* run(["--help"])
        assert.strictEqual(root.code, 0)
        for (const verb of documented) assert.match(root.out, new RegExp(`^  ${verb.split(" ")[0]} `, "m"))
        yield* Effect.forEach(documented, (verb) =>
          Effect.map(run([...verb.split(" "), "--help"]), ({ code, err, out }) => {
            assert.strictEqual(code, 0)
            assert.strictEqual(err, "")
            assert.include(out, `flaredb ${verb}`)
            assert.match(out, /EXAMPLES/)
            // A Boolean flag without an optional value would take the next word for its value.
            const [, flags = ""] = /^FLAGS\n([^]*?)\n\n/m.exec(out) ?? []
            assert.notMatch(flags, /^ +--[\w-]+(?:, -\w)? {2,}/m, `flaredb ${verb}: a flag of src/cli/input/Switch.ts`)
            // What holds when a flag is not given.
            for (
              const flag of flags.split("\n").filter((line) =>
                !line.includes("[=boolean]")
              )
            ) {
              assert.match(flag, /^$|default|required|when (?:it is )?left out/, `flaredb ${verb}`)
            }
          }), { concurrency: 2, discard: true })
      }).pipe(Effect.provide(NodeServices.layer)),
    240_000
  )
})
