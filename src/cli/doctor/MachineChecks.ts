/** What is wrong with a machine for a node, from the facts that were read of it. */
import { formatDuration } from "../../DurationText.ts"
import { healthThresholds, percent, roomLevel } from "../../config/HealthThresholds.ts"
import { defaultLimits } from "../../config/Limits.ts"
import { minDescriptors, wantedDescriptors } from "../../http/Descriptors.ts"
import { formatBytes } from "../output/Progress.ts"
import type { Check } from "../checks/Check.ts"
import { judge, unknown } from "../checks/Check.ts"
import type { MachineFacts } from "./MachineFacts.ts"
import { mountCheck } from "./Mounts.ts"
import type { SyncTimes } from "./SyncProbe.ts"
import { minSyncs, pieceBytes } from "./SyncProbe.ts"

const { goodSyncMs, lowRoomBytes, lowRoomShare, slowSyncMs } = healthThresholds

/** No disk is faster. Something between says that it was written. */
const unrealSyncMs = 0.01

const syncCheck = (name: string, { count, max, p50, p99 }: SyncTimes): Check =>
  judge(
    name,
    `${count} syncs of ${pieceBytes / 1024} KiB: p50 ${formatDuration(p50)}, p99 ${formatDuration(p99)}, ` +
      `longest ${formatDuration(max)}`,
    `p99 at most ${formatDuration(goodSyncMs)}, as etcd asks`,
    [
      [
        p99 > slowSyncMs,
        "failure",
        "leaders step down on such a disk; use a local SSD, and look for what else writes to it (iostat -x 1)"
      ],
      [
        p99 > goodSyncMs,
        "warning",
        "each write waits for a sync; use an SSD with power-loss protection, and keep other writers off this disk"
      ],
      [
        count < minSyncs,
        "failure",
        "the disk hardly answers; look at the kernel's log (dmesg) for errors of the device"
      ],
      [
        p50 < unrealSyncMs,
        "warning",
        "no disk is so fast: syncs may end in memory (tmpfs, eatmydata, a cache of the virtual machine without flush)"
      ]
    ]
  )

/** A state that comes from another node needs the room of two more for a while; compactions need less. */
const statesAtOnce = 3

const roomChecks = ({ dataBytes, folder, room }: MachineFacts): ReadonlyArray<Check> => {
  if (room === undefined) return [unknown("disk.room", `the file system of ${folder} does not tell`)]
  const wanted = lowRoomBytes + (dataBytes ?? 0) * (statesAtOnce - 1)
  const level = roomLevel(room.freeBytes, room.totalBytes)
  const advice = "make room or enlarge the disk: a full one ends the node; flaredb compact frees history of the store"
  const room1 = judge(
    "disk.room",
    `${formatBytes(room.freeBytes)} of ${formatBytes(room.totalBytes)} free at ${folder}, the node has ${
      dataBytes === undefined ? "what this user may not read" : formatBytes(dataBytes)
    }`,
    `${percent(lowRoomShare)} of the disk, and ${formatBytes(wanted)}: ${formatBytes(lowRoomBytes)}, and twice what ` +
      "the node has, for a state that replaces it",
    [
      [level === "critical", "failure", advice],
      [level === "low" || room.freeBytes < wanted, "warning", advice]
    ]
  )
  // Some file systems make places for files as they are needed, and say 0.
  if (room.totalFiles === 0) return [room1]
  return [
    room1,
    judge(
      "disk.files",
      `${room.freeFiles} of ${room.totalFiles} files can still be made`,
      `at least ${lowFiles}`,
      [[room.freeFiles < lowFiles, "warning", "remove files of other programs: without inodes no log can be begun"]]
    )
  ]
}

const directoryCheck = ({ dataDir, folder, instead, mode }: MachineFacts): Check => {
  if (instead !== undefined) {
    const advice = "run it as the user of the node, with its data directory, for example --data-dir ./data/node-1"
    return judge("directory.mode", `${dataDir} is ${instead}`, "a directory", [[true, "failure", advice]])
  }
  if (mode === undefined) return unknown("directory.mode", `${dataDir} is not there yet; looked at ${folder}`)
  return judge("directory.mode", `${dataDir} has mode ${mode.toString(8).padStart(4, "0")}`, "0700, the owner alone", [
    [(mode & 0o077) !== 0, "warning", `others can reach the data; run chmod -R go-rwx ${dataDir}`]
  ])
}

const ownerCheck = ({ dataDir, stranger }: MachineFacts): ReadonlyArray<Check> =>
  stranger === undefined ? [] : [judge(
    "directory.owner",
    `${stranger.name} in ${dataDir} belongs to user ${stranger.uid}, and the directory to user ${stranger.owner}`,
    "one owner of the directory and its files",
    [[true, "failure", `a start as user ${stranger.owner} is refused; run chown -R ${stranger.owner} ${dataDir}`]]
  )]

const preloadCheck = ({ preloaded }: MachineFacts): Check =>
  judge(
    "disk.preload",
    preloaded === "" ? "no library is preloaded" : `preloaded: ${preloaded}`,
    "nothing that takes fsync away",
    [[
      /eatmydata|nosync|libnofsync/.test(preloaded),
      "failure",
      "fsync does nothing under it; remove it from LD_PRELOAD and /etc/ld.so.preload, also for the service"
    ]]
  )

const descriptorsCheck = ({ descriptors }: MachineFacts): Check => {
  const wanted = wantedDescriptors(defaultLimits)
  return descriptors === undefined
    ? unknown("limits.descriptors", "this system has no /proc; see ulimit -n")
    : judge(
      "limits.descriptors",
      `${descriptors} for this process; a service has its own (LimitNOFILE)`,
      `at least ${wanted}, for all connections of the default limits`,
      [
        [descriptors < minDescriptors, "failure", `a node needs ${minDescriptors}; raise ulimit -n or LimitNOFILE`],
        [
          descriptors < wanted,
          "warning",
          "a node lowers its limits on connections; raise ulimit -n or LimitNOFILE"
        ]
      ]
    )
}

const mib = 1024 ** 2

/** The most that a node took in ten minutes of mixed load. A test compares it with `docs/performance.md`. */
const loadedNodeBytes = 336 * mib

/** The system needs some memory too. */
const leastMemoryBytes = 512 * mib
const goodMemoryBytes = 1024 * mib

/** Available and swapped memory from which on a node is in danger of stalls, or of being ended by the kernel. */
const lowMemoryBytes = 256 * mib
const swappedBytes = 64 * mib

/** Inodes that a node may need soon: each table and each log takes one. */
const lowFiles = 10_000

const memoryChecks = (facts: MachineFacts): ReadonlyArray<Check> => {
  const { availableBytes, groupLimitBytes, memoryBytes, swapUsedBytes } = facts
  const bytes = Math.min(memoryBytes, groupLimitBytes ?? Infinity)
  const advice = `give the machine or the container ${formatBytes(goodMemoryBytes)} or more`
  const group = groupLimitBytes === undefined ? "no limit of a control group" : `limit ${formatBytes(groupLimitBytes)}`
  const checks = [
    judge(
      "memory.limit",
      `${formatBytes(memoryBytes)} in the machine, ${group}`,
      `at least ${formatBytes(goodMemoryBytes)} for a node, which takes up to ${
        formatBytes(loadedNodeBytes)
      } under load`,
      [
        [bytes < leastMemoryBytes, "failure", advice],
        [bytes < goodMemoryBytes, "warning", advice]
      ]
    )
  ]
  if (availableBytes === undefined) {
    return [...checks, unknown("memory.available", "this system has no /proc/meminfo")]
  }
  checks.push(
    judge("memory.available", `${formatBytes(availableBytes)} available`, `at least ${formatBytes(lowMemoryBytes)}`, [
      [availableBytes < lowMemoryBytes, "warning", "find out what uses it (top, press M): the kernel ends processes"]
    ])
  )
  if (swapUsedBytes !== undefined) {
    checks.push(
      judge("memory.swap", `${formatBytes(swapUsedBytes)} swapped out`, `at most ${formatBytes(swappedBytes)}`, [
        [
          swapUsedBytes > swappedBytes,
          "warning",
          "a swapped node stalls and loses elections; set MemorySwapMax=0 for it"
        ]
      ])
    )
  }
  return checks
}

const hugePagesCheck = ({ hugePages }: MachineFacts): Check =>
  hugePages === undefined
    ? unknown("memory.huge-pages", "this system does not tell")
    : judge("memory.huge-pages", `transparent huge pages: ${hugePages}`, "madvise or never", [[
      hugePages === "always",
      "warning",
      "they cost memory and pauses; run: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    ]])

/** The oldest Node.js that this package runs on. */
const leastNode: readonly [major: number, minor: number] = [22, 19]

const nodeCheck = ({ node }: MachineFacts): Check => {
  const [major = 0, minor = 0] = node.replace(/^v/, "").split(".").map(Number)
  const old = major < leastNode[0] || (major === leastNode[0] && minor < leastNode[1])
  return judge("version.node", `Node.js ${node}`, `${leastNode.join(".")} or later`, [
    [old, "failure", "install Node.js 24, or use the one that comes with this package"]
  ])
}

/** `syncs` is what the probe measured, or why it could not. */
export const machineChecks = (facts: MachineFacts, syncs: SyncTimes | string): ReadonlyArray<Check> => [
  typeof syncs === "string"
    ? unknown("disk.sync", syncs, /EACCES|EPERM|EROFS/.test(syncs) ? "run it as the user of the node" : "")
    : syncCheck("disk.sync", syncs),
  facts.mount === undefined
    ? unknown("disk.mount", `${facts.platform} does not tell; see mount`)
    : mountCheck(facts.folder, facts.mount),
  preloadCheck(facts),
  ...roomChecks(facts),
  directoryCheck(facts),
  ...ownerCheck(facts),
  descriptorsCheck(facts),
  ...memoryChecks(facts),
  hugePagesCheck(facts),
  nodeCheck(facts)
]
