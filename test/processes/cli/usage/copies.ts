/** Copies of the store: backups, restores and imports. */
import type { WrongUsage } from "./WrongUsage.ts"

export const copies: WrongUsage = {
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
    [["backups", "run", "--dir", "/nowhere"], /--dir \/nowhere does not exist; make it first: mkdir/],
    [["backups", "run", "--dir", "/tmp", "--every", "10s"], /--every 10s is not from 1m to 366d/],
    [["backups", "run", "--dir", "/tmp", "--keep-daily", "-1"], /--keep-daily -1 is not from 0 to 10000/],
    [["backups", "run", "--dir", "/tmp", "--metrics-file", ""], /--metrics-file is empty/]
  ],
  "backups list": [
    [["backups", "list"], /--dir/],
    [["backups", "list", "--dir", "package.json"], /--dir package.json is a file; name a folder/],
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
  ]
}
