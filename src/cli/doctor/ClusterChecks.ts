/** What is wrong with a cluster, from what its nodes said and how they were reached. */
import { formatDifference, formatDuration } from "../../DurationText.ts"
import { healthThresholds, isFarBehind, percent, roomLevel } from "../../config/HealthThresholds.ts"
import type { NodeReport } from "../../protocol/NodeReport.ts"
import { lagOf } from "../../protocol/NodeReport.ts"
import { isLoopbackHost } from "../../net/Loopback.ts"
import { daysUntil } from "../certificates/Text.ts"
import { formatBytes } from "../output/Progress.ts"
import { fills, quantile } from "../nodes/MetricsPage.ts"
import type { Check } from "../checks/Check.ts"
import { judge, ok, unknown } from "../checks/Check.ts"
import type { NodeFacts } from "./ClusterFacts.ts"
import { minSyncs } from "./SyncProbe.ts"

const { clockMs, failingClockMs, lagEntries, lowRoomBytes, lowRoomShare, renewCertificateDays, tableShare } =
  healthThresholds

const majorityOf = (count: number): number => Math.floor(count / 2) + 1

const nodeName = ({ answer, place }: NodeFacts): string =>
  answer.report === undefined ? place.name : `node ${answer.report.nodeId}`

const reportsOf = (nodes: ReadonlyArray<NodeFacts>): ReadonlyArray<NodeReport> =>
  nodes.flatMap(({ answer }) => answer.report === undefined ? [] : [answer.report])

const answerChecks = (nodes: ReadonlyArray<NodeFacts>): ReadonlyArray<Check> => {
  const reports = reportsOf(nodes)
  const needed = majorityOf(nodes.length)
  const down = nodes.filter(({ answer }) => answer.report === undefined)
  const missing = down.map(({ answer, place }) => `${place.name}: ${answer.problem ?? "no answer"}`)
  // A node that refuses this caller is up: it says so.
  const refused = down.length > 0 &&
    down.every(({ answer }) =>
      answer.refused !== undefined || /refused by the other side|certificate/.test(answer.problem ?? "")
    )
  const shown = "show what the nodes ask for: --certs-dir, or --trusted-ca-file with --token-file"
  const answered = judge(
    "cluster.nodes",
    `${reports.length} of ${nodes.length} nodes answer${missing.length === 0 ? "" : ` (${missing.join("; ")})`}`,
    "all of them",
    [
      [refused, "failure", shown],
      [reports.length < needed, "failure", "without a majority nothing can be written; start the missing nodes"],
      [missing.length > 0, "warning", "the loss of one more may stop the cluster; see the log of the missing node"]
    ]
  )
  const leaders = reports.filter(({ role }) => role === "leader").sort((a, b) => b.term - a.term)
  const [leader] = leaders
  const lead = reports.length === 0 ? unknown("cluster.leader", "no node answers") : judge(
    "cluster.leader",
    leader === undefined ? "no node leads" : `node ${leader.nodeId} leads in term ${leader.term}`,
    "one leader",
    [[
      leader === undefined,
      "failure",
      "a majority must reach each other at their peer ports; see the peer checks, and the nodes' logs for elections"
    ]]
  )
  return [answered, lead]
}

const sameChecks = (nodes: ReadonlyArray<NodeFacts>, own: string): ReadonlyArray<Check> => {
  const reports = reportsOf(nodes)
  if (reports.length === 0) return []
  const each = (value: (report: NodeReport) => string) => [...new Set(reports.map(value))]
  const list = (value: (report: NodeReport) => string) =>
    reports.map((report) => `node ${report.nodeId} ${value(report)}`).join(", ")
  const versions = each(({ version }) => version)
  const identities = each(({ clusterId, identity }) => `${clusterId}/${identity ?? "not known yet"}`)
  const voters = each((report) => report.voters.join("+"))
  return [
    judge(
      "cluster.versions",
      versions.length === 1 ? `${versions[0]} on all that answer` : list((r) => r.version),
      "one version",
      [
        [versions.length > 1, "warning", "finish the upgrade: stop and start the older nodes one at a time"],
        [versions[0] !== own, "warning", `this command is ${own}; use the one that came with the nodes`]
      ]
    ),
    judge(
      "cluster.identity",
      identities.length === 1
        ? `cluster ${identities[0]}`
        : list((r) => `${r.clusterId}/${r.identity ?? "not known yet"}`),
      "one cluster",
      [[
        identities.length > 1,
        "failure",
        "nodes of different clusters are named; compare --nodes, and see deploy/runbooks/restore.md"
      ]]
    ),
    judge(
      "cluster.voters",
      voters.length === 1 ? `voters ${voters[0]}` : list((r) => r.voters.join("+")),
      "the same on all",
      [
        [voters.length > 1, "failure", "the nodes were started with different --nodes; give all of them the same"]
      ]
    )
  ]
}

/** A name that leads to this machine while others lead elsewhere is what Debian's installer writes into /etc/hosts. */
const nameCheck = (node: NodeFacts, nodes: ReadonlyArray<NodeFacts>): Check => {
  const { addresses, place } = node
  const { host } = place.endpoint
  const name = `${nodeName(node)} name`
  if ("problem" in addresses) {
    return judge(name, `${host}: ${addresses.problem}`, "it resolves", [
      [true, "failure", `add ${host} to the name service, or to /etc/hosts of every machine`]
    ])
  }
  const isHere = (list: ReadonlyArray<string>) => list.some(isLoopbackHost)
  const others = nodes.some((other) => other !== node && "value" in other.addresses && !isHere(other.addresses.value))
  const twins = nodes.filter((other) =>
    other !== node && other.place.endpoint.port === place.endpoint.port && "value" in other.addresses &&
    other.addresses.value.join() === addresses.value.join()
  )
  return judge(name, `${host} is ${addresses.value.join(", ")}`, "an address of its own that all machines see", [
    [
      twins.length > 0,
      "failure",
      `${twins.map(nodeName).join(", ")} has the same address and port; correct one of them`
    ],
    [
      isHere(addresses.value) && others,
      "warning",
      `other machines that take it from /etc/hosts would reach themselves; remove ${host} from its 127.… line`
    ]
  ])
}

/** All ports of a node in one line: one that is down would have three. */
const portsCheck = (node: NodeFacts): Check => {
  const { ports } = node
  const down = ports.some(({ connected }) => "problem" in connected)
  const each = ports.map(({ connected, name, port }) =>
    `${name} ${port} ${"value" in connected ? `in ${formatDuration(connected.value)}` : `not: ${connected.problem}`}`
  )
  return judge(`${nodeName(node)} ports`, each.join(", "), "all reachable from here", [[
    down,
    "failure",
    "is the node up, does it listen beyond its machine (--listen-host), and does a firewall let this port pass?"
  ]])
}

/** Both directions of each pair: every node says which of its peers it is connected to. */
const peerChecks = (nodes: ReadonlyArray<NodeFacts>): ReadonlyArray<Check> => {
  const reports = reportsOf(nodes)
  return reports.flatMap(({ nodeId, peers }) =>
    peers.map(({ conflict, connected, peer }) => {
      const back = reports.find((other) => other.nodeId === peer)?.peers.find((other) => other.peer === nodeId)
      const oneWay = !connected && back?.connected === true
      return judge(
        `node ${nodeId} to ${peer}`,
        conflict ?? (connected ? "connected" : oneWay ? "not connected, though the other way is" : "not connected"),
        "connected, both ways",
        [
          [conflict !== null, "failure", "stop the process that should not run under this id"],
          [
            oneWay,
            "failure",
            `node ${nodeId} cannot open connections to the peer port of node ${peer}: compare firewalls and names there`
          ],
          [!connected, "warning", `start node ${peer}, or let its peer port through the firewall`]
        ]
      )
    })
  )
}

const lagCheck = (node: NodeFacts, commit: number): Check | undefined => {
  const { report } = node.answer
  if (report === undefined) return undefined
  const lag = lagOf(commit, report)
  return judge(
    `node ${report.nodeId} state`,
    report.waiting ?? `${report.membership}, ${lag} entries behind`,
    `at most ${lagEntries} behind`,
    [
      [report.waiting !== null, "failure", "it does not serve; the line says what it waits for"],
      [
        report.membership !== "voter",
        "warning",
        "it catches up before it votes; until then the others must all stay up"
      ],
      [isFarBehind(lag), "warning", "look at its disk and processor, and at flaredb top, whether it catches up"]
    ]
  )
}

const metricChecks = (node: NodeFacts): ReadonlyArray<Check> => {
  const { metrics } = node
  const name = nodeName(node)
  if ("problem" in metrics) {
    return node.answer.report === undefined ? [] : [unknown(`${name} metrics`, metrics.problem)]
  }
  const page = metrics.value
  const checks: Array<Check> = []
  const sync = quantile(page, "flaredb_log_sync_seconds", 0.99)
  const count = page.sum("flaredb_log_sync_seconds_count") ?? 0
  // The first syncs of a node are those of its start.
  if (sync !== undefined && count >= minSyncs * 4) {
    const syncMs = sync * 1_000
    checks.push(
      judge(
        `${name} sync`,
        `p99 ${formatDuration(syncMs)} of ${count} since it began`,
        `at most ${formatDuration(healthThresholds.goodSyncMs)}, as etcd asks`,
        [
          [
            syncMs > healthThresholds.slowSyncMs,
            "failure",
            "its disk cannot carry a leader; run flaredb doctor on that machine"
          ],
          [
            syncMs > healthThresholds.goodSyncMs,
            "warning",
            "its disk holds writes up; run flaredb doctor on that machine"
          ]
        ]
      )
    )
  }
  const [open, most] = [page.sum("flaredb_process_open_descriptors"), page.sum("flaredb_process_max_descriptors")]
  if (open !== undefined && most !== undefined) {
    checks.push(judge(`${name} descriptors`, `${open} of ${most} open`, `at most ${percent(tableShare)}`, [
      [open > tableShare * most, "warning", "raise LimitNOFILE, or find out who holds the connections"]
    ]))
  }
  const full = fills(page).filter(({ entries, limit }) => entries >= tableShare * limit && limit > 1)
  checks.push(judge(
    `${name} tables`,
    full.length === 0 ? "none near its limit" : full.map((f) => `${f.table} ${f.entries} of ${f.limit}`).join(", "),
    `at most ${percent(tableShare)} of each limit`,
    [[full.length > 0, "warning", "docs/limits.md says what each limit is for and what happens there"]]
  ))
  if (page.sum("flaredb_insecure") === 1) {
    checks.push(judge(`${name} TLS`, "it listens beyond its machine without TLS", "TLS, or loopback alone", [
      [true, "warning", "see deploy/runbooks/turn-on-tls.md"]
    ]))
  }
  return checks
}

const roomChecks = (node: NodeFacts): ReadonlyArray<Check> => {
  const facts = "value" in node.clock ? node.clock.value.process : undefined
  if (facts?.diskBytes === undefined || facts.diskFreeBytes === undefined) return []
  const { diskBytes, diskFreeBytes } = facts
  const level = roomLevel(diskFreeBytes, diskBytes)
  const advice = "make room or enlarge the disk: a full one ends the node; flaredb compact frees history of the store"
  return [judge(
    `${nodeName(node)} room`,
    `${formatBytes(diskFreeBytes)} of ${formatBytes(diskBytes)} free`,
    `${formatBytes(lowRoomBytes)} and ${percent(lowRoomShare)} of the disk`,
    [
      [level === "critical", "failure", advice],
      [level === "low", "warning", advice]
    ]
  )]
}

/** Differences between nodes count, and not those to this machine. */
const clockCheck = (nodes: ReadonlyArray<NodeFacts>): Check => {
  const read = nodes.flatMap((node) =>
    "value" in node.clock && Number.isFinite(node.clock.value.offsetMs)
      ? [{ name: nodeName(node), ...node.clock.value }]
      : []
  )
  const [first] = read
  if (first === undefined || read.length < 2) {
    const why = nodes.flatMap((node) => "problem" in node.clock ? [`${nodeName(node)}: ${node.clock.problem}`] : [])
    return unknown("cluster.clocks", why[0] ?? "fewer than two nodes tell their time")
  }
  const sorted = [...read].sort((a, b) => a.offsetMs - b.offsetMs)
  const [low, high] = [sorted[0] ?? first, sorted[sorted.length - 1] ?? first]
  const error = low.errorMs + high.errorMs
  const between = high.offsetMs - low.offsetMs
  // What the way of the answers may have added is no difference of the clocks.
  const sure = Math.max(0, between - error)
  const shown = read.map(({ name, offsetMs }) => `${name} ${formatDifference(offsetMs)}`)
  const advice = "run chrony or systemd-timesyncd on every machine: leases and locks end by the leader's clock"
  return judge(
    "cluster.clocks",
    `${formatDuration(between)} apart, give or take ${formatDuration(error)} (to this machine: ${shown.join(", ")})`,
    `at most ${formatDuration(clockMs)} between nodes`,
    [[sure > failingClockMs, "failure", advice], [sure > clockMs, "warning", advice]]
  )
}

const certificateCheck = (node: NodeFacts, nowMs: number): ReadonlyArray<Check> => {
  const { certificateEndMs } = node
  if (certificateEndMs === undefined) return []
  const name = `${nodeName(node)} certificate`
  if ("problem" in certificateEndMs) return [unknown(name, certificateEndMs.problem)]
  const days = daysUntil(certificateEndMs.value, nowMs)
  return [judge(name, `ends in ${days} days`, `at least ${renewCertificateDays} days`, [
    [
      certificateEndMs.value <= nowMs,
      "failure",
      "no new connection comes about; issue it again with flaredb cert node"
    ],
    [days < renewCertificateDays, "warning", "renew it: deploy/runbooks/rotate-certificates.md"]
  ])]
}

/** Everything about the nodes. `version` is this command's. */
export const clusterChecks = (
  nodes: ReadonlyArray<NodeFacts>,
  { nowMs, version }: { readonly nowMs: number; readonly version: string }
): ReadonlyArray<Check> => {
  const commit = Math.max(0, ...reportsOf(nodes).map((report) => report.commit))
  return [
    ...answerChecks(nodes),
    ...sameChecks(nodes, version),
    clockCheck(nodes),
    ...nodes.flatMap((node) => [
      nameCheck(node, nodes),
      portsCheck(node),
      ...[lagCheck(node, commit)].filter((check) => check !== undefined),
      ...metricChecks(node),
      ...roomChecks(node),
      ...certificateCheck(node, nowMs)
    ]),
    ...peerChecks(nodes),
    ...nodes.length === 1 ? [ok("cluster.size", "one node: its loss is the loss of the cluster", "1 or 3")] : []
  ]
}
