/** Leases and what lives with them: sessions, locks, elections. */
import type { WrongUsage } from "./WrongUsage.ts"

export const leases: WrongUsage = {
  "lease grant": [
    [["lease", "grant"], /Missing required argument: ttl/],
    [["lease", "grant", "soon"], /soon/],
    [["lease", "grant", "3600"], /a duration with its unit: 3600s for seconds/],
    [["lease", "grant", "10ms"], /ttl 10ms is not from 1s to 30d/]
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
  elect: [
    [["elect"], /Missing required argument: name/],
    [["elect", ""], /invalid name: is empty; give the election a name/],
    [["elect", "a", "b", "c"], /"c"/],
    [["elect", "a", "b", "--listen"], /--listen only looks on/],
    [["elect", "a", "--limit", "1"], /--limit goes with --listen/],
    [["elect", "a", "--listen", "--limit", "0"], /--limit 0 is less than 1/],
    [["elect", "a", "xyz", "--encoding", "hex"], /the value "xyz" is not an even number of hex digits/],
    [["elect", "a", "--ttl", "5ms"], /--ttl 5ms is not from 1s to 30d/],
    [["elect", "a", "--ttl", "31d"], /--ttl 31d is not from 1s to 30d/]
  ],
  lock: [
    [["lock"], /Missing required argument: name/],
    [["lock", "a"], /command/],
    [["lock", "a", "--ttl", "5ms", "--", "true"], /--ttl 5ms is not from 1s to 30d/],
    [["lock", "", "--", "true", "--wizard"], /invalid name: is empty/],
    [["lock", "", "--", "true"], /invalid name: is empty; give the lock a name/],
    [["lock", "é".repeat(700), "--", "true"], /invalid name: takes 4214 bytes of a key; at most 4082/],
    [["lock", "a", "--", ""], /the command to run is empty/],
    [["lock", "a", "--timeout", "0", "--", "true"], /--timeout 0ms is not from 1ms to 1d/]
  ]
}
