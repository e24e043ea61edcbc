/** What is wrong with a cluster, or will be soon, each with what to do next. The worst comes first. */
import { formatDuration } from "../../DurationText.ts"
import { healthThresholds, isFarBehind, percent, roomLevel } from "../../config/HealthThresholds.ts"
import type { ClusterSample, NodeSample } from "./ClusterSample.ts"
import type { Warning } from "./Warning.ts"

/** So many samples in a row with slow syncs are a warning. */
const maxSlowSyncs = 3

type Sample = Omit<ClusterSample, "warnings">

const nameOf = ({ endpoint, nodeId }: NodeSample): string => nodeId === null ? endpoint : `Node ${nodeId}`

/** Whether too few nodes answer for anything to be written. */
const hasNoMajority = ({ nodes, voters }: Sample): boolean =>
  nodes.filter(({ problem }) => problem === null).length * 2 <= Math.max(voters.length, nodes.length)

/** What holds for the cluster as a whole. */
const ofCluster = (sample: Sample): ReadonlyArray<Warning> => {
  const { leader, nodes, voters } = sample
  const all = Math.max(voters.length, nodes.length)
  const reached = nodes.filter(({ problem }) => problem === null)
  const found: Array<Warning> = []
  if (hasNoMajority(sample)) {
    found.push({
      level: "critical",
      id: "no-majority",
      what: `Only ${reached.length} of ${all} nodes answer: nothing can be written.`,
      next: "Start the nodes that are down. No data is lost as long as a majority of the disks is there."
    })
  } else if (leader === null) {
    found.push({
      level: "critical",
      id: "no-leader",
      what: "No node leads: nothing can be written.",
      next: "An election takes a second or two. If this stays, look at the clocks, the network between the nodes and " +
        "their logs for votes that were refused."
    })
  }
  const versions = new Set(reached.flatMap(({ version }) => version ?? []))
  if (versions.size > 1) {
    found.push({
      level: "warning",
      id: "versions",
      what: `The nodes run different versions: ${[...versions].sort().join(", ")}.`,
      next: "Finish the upgrade: restart the nodes with the older version one after the other."
    })
  }
  return found
}

const ofLink = (node: NodeSample, sample: Sample): ReadonlyArray<Warning> => {
  const name = nameOf(node)
  if (node.problem !== null) {
    return [{
      level: "critical",
      id: `unreachable ${node.endpoint}`,
      what: `${name} is not reachable: ${node.problem}.`,
      next: `Look whether its process runs (systemctl status "flaredb*", or docker ps) and read the ` +
        `end of its log. ${
          hasNoMajority(sample)
            ? "The cluster has stopped, and goes on with a majority."
            : "The cluster goes on without it, and stops when another one is lost."
        }`
    }]
  }
  const found: Array<Warning> = []
  if (node.snapshot !== null) {
    found.push({
      level: "warning",
      id: `snapshot ${node.endpoint}`,
      what: `${name} is sent the whole state: ${percent(node.snapshot)}.`,
      next: "Wait: it was away for longer than the log reaches back. Restart no other node meanwhile."
    })
  } else if (node.membership !== null && node.membership !== "voter") {
    found.push({
      level: "warning",
      id: `membership ${node.endpoint}`,
      what: `${name} does not vote: its membership is ${node.membership}${
        node.waiting === null ? "" : `, ${node.waiting}`
      }.`,
      next: "Wait until it has caught up. Restart no other node meanwhile."
    })
  } else if (node.waiting !== null) {
    found.push({
      level: "warning",
      id: `waiting ${node.endpoint}`,
      what: `${name} cannot serve yet: ${node.waiting}.`,
      next: "If this stays, read its log: it says every few seconds what it waits for."
    })
  }
  if (node.lag !== null && isFarBehind(node.lag) && node.snapshot === null) {
    found.push({
      level: "warning",
      id: `lag ${node.endpoint}`,
      what: `${name} is ${node.lag.toLocaleString("en")} entries behind.`,
      next: "Compare its sync time and its processor with the other nodes': it is slower than they are."
    })
  }
  return found
}

const numbers = (nodes: ReadonlyArray<NodeSample>): string =>
  nodes.map(({ endpoint, nodeId }) => String(nodeId ?? endpoint)).join(", ")

/** Slow disks are one warning: what slows them is often the same. One slow sample is none. */
const ofDisks = ({ nodes }: Sample): ReadonlyArray<Warning> => {
  const slow = nodes.filter(({ slowSyncs }) => slowSyncs >= maxSlowSyncs)
  if (slow.length === 0) return []
  const most = Math.max(...slow.map(({ syncLatency }) => syncLatency?.p99Ms ?? 0))
  return [{
    level: "warning",
    id: "sync",
    what: `The disk of node ${numbers(slow)} is slow: a sync takes ${Math.round(most)} ms at the 99th percentile.`,
    next: "Look for others that use the disk (iostat -x 1). A sync should take less than " +
      `${healthThresholds.goodSyncMs} ms.`
  }]
}

const ofMachine = (node: NodeSample): ReadonlyArray<Warning> => {
  const { clockAheadMs, endpoint, vitals } = node
  const name = nameOf(node)
  const found: Array<Warning> = []
  if (clockAheadMs !== null && Math.abs(clockAheadMs) >= healthThresholds.clockMs) {
    found.push({
      level: "warning",
      id: `clock ${endpoint}`,
      what: `The clock of ${name.toLowerCase()} is ${formatDuration(Math.abs(clockAheadMs))} ` +
        `${clockAheadMs > 0 ? "ahead of" : "behind"} this node's.`,
      next: "Look whether it is synchronised (timedatectl, chronyc tracking). Nothing breaks, but leases count on it " +
        "when that node leads."
    })
  }
  if (vitals === null) return found
  const { diskBytes, diskFreeBytes, heapBytes, heapLimitBytes } = vitals
  const room = diskBytes === null || diskFreeBytes === null ? "enough" : roomLevel(diskFreeBytes, diskBytes)
  if (diskBytes !== null && diskFreeBytes !== null && room !== "enough") {
    found.push({
      level: room === "critical" ? "critical" : "warning",
      id: `disk ${endpoint}`,
      what: `The disk of ${name.toLowerCase()} has ${Math.floor(diskFreeBytes / 1024 ** 2)} MiB left, ` +
        `${percent(diskFreeBytes / diskBytes)}.`,
      next: "Make room on it, or shorten the history (flaredb compact): a node whose disk is full stops."
    })
  }
  if (heapBytes >= heapLimitBytes * healthThresholds.heapShare) {
    found.push({
      level: "warning",
      id: `heap ${endpoint}`,
      what: `${name} uses ${percent(heapBytes / heapLimitBytes)} of the memory that its process may have.`,
      next: "Give it more (NODE_OPTIONS=--max-old-space-size), or lower its limits (docs/limits.md)."
    })
  }
  for (const { entries, limit, table } of vitals.fullTables) {
    if (entries < limit * healthThresholds.tableShare) continue
    found.push({
      level: "warning",
      id: `table ${table} ${endpoint}`,
      what: `The table ${table} of ${name.toLowerCase()} is at ${entries.toLocaleString("en")} of ` +
        `${limit.toLocaleString("en")}.`,
      next: "docs/limits.md says what fills it, and what is refused when it is full."
    })
  }
  return found
}

export const warningsOf = (sample: Sample): ReadonlyArray<Warning> => {
  const all = [
    ...ofCluster(sample),
    ...ofDisks(sample),
    ...sample.nodes.flatMap((node) => [...ofLink(node, sample), ...ofMachine(node)])
  ]
  return all.sort((a, b) => Number(b.level === "critical") - Number(a.level === "critical"))
}
