/** Nodes and clusters, running or stopped. */
import type { WrongUsage } from "./WrongUsage.ts"
import { sameIds, twoVoters } from "./WrongUsage.ts"

export const nodes: WrongUsage = {
  start: [
    [["start"], /Missing required flag: --node-id/],
    [["start", "--node-id", "1.5"], /--node-id: "1.5"/],
    [["start", "--node-id", "9"], /nodeId: 9 is not one of the voters \(1, 2, 3\)/],
    [["start", "--node-id", "1", "--nodes", twoVoters], /2 voters given; a cluster has 1 or 3/],
    [["start", "--node-id", "1", "--nodes", sameIds], /node id 2 is given twice/],
    [["start", "--node-id", "1", "--nodes", "1=127.0.0.1"], /"1=127\.0\.0\.1" is not ID=HOST:CLIENT:PEER:HTTP/],
    [["start", "--node-id", "1", "--log-format", "xml"], /"xml"/],
    [["start"], /^flaredb: the variable FLAREDB_NODE_ID is wrong: expected an integer; see/, {
      FLAREDB_NODE_ID: "first"
    }]
  ],
  "cluster version": [
    [["cluster", "version", "now"], /"now"/],
    [["cluster", "version", "--endpoints", "localhost"], /"localhost" is not an endpoint/]
  ],
  cluster: [
    [["cluster", "now"], /"now"/],
    [["cluster", "--nodes", twoVoters], /2 voters given/],
    [["cluster", "--cluster-id", "my cluster"], /clusterId: "my cluster"/],
    [["cluster", "--data-dir", ""], /--data-dir is empty/]
  ],
  status: [
    [["status", "all"], /"all"/],
    [["status", "--endpoint", "a:1"], /flaredb status \(did you mean --endpoints\?\); see/],
    [["status", "--endpoints", ""], /it is empty/],
    [["status", "--endpoints", "http://127.0.0.1:7001"], /it has a scheme/],
    [["status", "--endpoints", "127.0.0.1:70000"], /"70000" is not a port/]
  ],
  "transfer-leader": [
    [["transfer-leader", "2"], /"2"/],
    [["transfer-leader", "--to", "two"], /--to: "two"\. Expected: an integer; see/],
    [["transfer-leader", "--frobnicate"], /--frobnicate/]
  ],
  "upgrade check": [
    [["upgrade", "check", "now"], /"now"/],
    [["upgrade", "check", "--backup", ""], /--backup is empty/],
    [["upgrade", "check", "--backup", "b", "--skip-backup"], /--backup and --skip-backup contradict/],
    [["upgrade", "check", "--expires-within=-1d"], /--expires-within must not be negative/],
    [["upgrade", "check", "--local"], /--local needs something to look at/]
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
  "upgrade directory": [
    [["upgrade", "directory"], /Missing required argument: directory/],
    [["upgrade", "directory", "a", "b"], /"b"/],
    [["upgrade", "directory", "--frobnicate", "a"], /--frobnicate/]
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
    [["config", "check"], /^flaredb: the variable FLAREDB_UNSAFE_NO_FSYNC is wrong: expected .*; see/, {
      FLAREDB_NODE_ID: "1",
      FLAREDB_UNSAFE_NO_FSYNC: "maybe"
    }],
    [["config", "check"], /FLAREDB_MAX_WATCHERS is no setting/, { FLAREDB_NODE_ID: "1", FLAREDB_MAX_WATCHERS: "9" }]
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
  ]
}
