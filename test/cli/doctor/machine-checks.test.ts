/** What doctor says of machines that were made up, and of this one's disk. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { byUrgency } from "../../../src/cli/checks/Check.ts"
import { machineChecks } from "../../../src/cli/doctor/MachineChecks.ts"
import type { MachineFacts } from "../../../src/cli/doctor/MachineFacts.ts"
import { groupLimitFiles, strangerIn } from "../../../src/cli/doctor/MachineFacts.ts"
import { mountAt } from "../../../src/cli/doctor/Mounts.ts"
import type { SyncTimes } from "../../../src/cli/doctor/SyncProbe.ts"
import { maxSyncs, probeSyncs, timesOf } from "../../../src/cli/doctor/SyncProbe.ts"
import { defaultLimits } from "../../../src/config/Limits.ts"
import { share } from "../../../src/http/Descriptors.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

const gib = 1024 ** 3

const good: MachineFacts = {
  platform: "linux",
  node: "v24.1.0",
  dataDir: "/data/node-1",
  folder: "/data/node-1",
  dataBytes: gib,
  mode: 0o700,
  instead: undefined,
  stranger: undefined,
  room: { freeBytes: 100 * gib, totalBytes: 200 * gib, freeFiles: 1_000_000, totalFiles: 2_000_000 },
  mount: { point: "/data", type: "ext4", options: ["rw", "relatime"] },
  preloaded: "",
  descriptors: 65_536,
  memoryBytes: 8 * gib,
  availableBytes: 4 * gib,
  groupLimitBytes: undefined,
  swapUsedBytes: 0,
  hugePages: "madvise"
}

const fast: SyncTimes = { count: 512, p50: 0.4, p99: 2, max: 3 }

/** Status by check, of those that are not ok. */
const found = (facts: Partial<MachineFacts>, syncs: SyncTimes | string = fast): Record<string, string> =>
  Object.fromEntries(
    machineChecks({ ...good, ...facts }, syncs)
      .filter(({ status }) => status !== "ok")
      .map(({ name, status }) => [name, status])
  )

const limitOf = (name: string): string => machineChecks(good, fast).find((check) => check.name === name)?.limit ?? ""

const text = (path: string): string => readFileSync(join(import.meta.dirname, "../../..", path), "utf8")

const mount = (type: string, ...options: ReadonlyArray<string>) => ({ mount: { point: "/data", type, options } })

describe("what a check says of a node", () => {
  it("is what was measured", () => {
    const [, most = ""] = /ten minutes of mixed load.* \d+ to (\d+) MiB a node/.exec(text("docs/performance.md")) ?? []
    assert.strictEqual(
      limitOf("memory.limit"),
      `at least 1.0 GiB for a node, which takes up to ${most}.0 MiB under load`
    )
  })

  it("is what the package asks of Node.js", () => {
    const { engines } = JSON.parse(text("package.json"))
    assert.strictEqual(`>=${limitOf("version.node").replace(" or later", ".0")}`, engines.node)
    assert.include(text("bin/flaredb.js"), `flaredb needs Node.js ${limitOf("version.node")}`)
  })

  it("is how many descriptors its default limits take, to one", () => {
    const [, wanted = ""] = /^at least (\d+),/.exec(limitOf("limits.descriptors")) ?? []
    assert.deepStrictEqual(found({ descriptors: Number(wanted) }), {})
    assert.deepStrictEqual(found({ descriptors: Number(wanted) - 1 }), { "limits.descriptors": "warning" })
    const { limits } = share(defaultLimits, Number(wanted) - 1)
    assert.notDeepEqual(limits, defaultLimits)
  })
})

describe("a machine", () => {
  it("that is as it should be is ok in everything", () => assert.deepStrictEqual(found({}), {}))

  it.each<readonly [string, Partial<MachineFacts>, Record<string, string>]>([
    ["tmpfs", mount("tmpfs", "rw"), { "disk.mount": "failure" }],
    ["overlay", mount("overlay", "rw"), { "disk.mount": "warning" }],
    ["NFS", mount("nfs4", "rw"), { "disk.mount": "failure" }],
    ["ext4 without barriers", mount("ext4", "rw", "nobarrier"), { "disk.mount": "failure" }],
    ["ext4 with barrier=0", mount("ext4", "rw", "barrier=0"), { "disk.mount": "failure" }],
    ["a read-only disk", mount("xfs", "ro"), { "disk.mount": "failure" }],
    ["a FUSE file system", mount("fuse.sshfs", "rw"), { "disk.mount": "warning" }],
    ["eatmydata", { preloaded: "/usr/lib/libeatmydata.so" }, { "disk.preload": "failure" }],
    ["few descriptors", { descriptors: 100 }, { "limits.descriptors": "failure" }],
    ["1024 descriptors", { descriptors: 1_024 }, { "limits.descriptors": "warning" }],
    ["a directory that others read", { mode: 0o755 }, { "directory.mode": "warning" }],
    [
      "a file that root made in it",
      { stranger: { name: "CURRENT", uid: 0, owner: 998 } },
      { "directory.owner": "failure" }
    ],
    ["a file in its place", { mode: undefined, instead: "a file" }, { "directory.mode": "failure" }],
    ["a small container", { groupLimitBytes: gib / 4 }, { "memory.limit": "failure" }],
    ["a container of 768 MiB", { groupLimitBytes: 0.75 * gib }, { "memory.limit": "warning" }],
    ["used memory", { availableBytes: gib / 16 }, { "memory.available": "warning" }],
    ["swap", { swapUsedBytes: gib }, { "memory.swap": "warning" }],
    ["huge pages", { hugePages: "always" }, { "memory.huge-pages": "warning" }],
    ["an old Node.js", { node: "v22.18.1" }, { "version.node": "failure" }],
    [
      "room for less than three states",
      { room: { freeBytes: 2 * gib, totalBytes: 9 * gib, freeFiles: 9, totalFiles: 9 } },
      { "disk.room": "warning", "disk.files": "warning" }
    ],
    [
      "a full disk",
      { room: { freeBytes: gib / 8, totalBytes: gib, freeFiles: 0, totalFiles: 0 } },
      { "disk.room": "failure" }
    ],
    [
      "a system that tells nothing",
      {
        platform: "darwin",
        mount: undefined,
        descriptors: undefined,
        availableBytes: undefined,
        hugePages: undefined,
        swapUsedBytes: undefined,
        mode: undefined,
        room: undefined
      },
      {
        "disk.mount": "unknown",
        "limits.descriptors": "unknown",
        "memory.available": "unknown",
        "memory.huge-pages": "unknown",
        "directory.mode": "unknown",
        "disk.room": "unknown"
      }
    ]
  ])("with %s", (_, facts, expected) => assert.deepStrictEqual(found(facts), expected))

  it.each<readonly [string, SyncTimes | string, string | undefined]>([
    ["p99 at what etcd asks", { ...fast, p99: 10 }, undefined],
    ["a p99 above it", { ...fast, p99: 10.1 }, "warning"],
    ["a p99 that loses elections", { ...fast, p99: 101 }, "failure"],
    ["syncs that no disk is as fast as", { ...fast, p50: 0.002 }, "warning"],
    ["a disk that hardly answers", { ...fast, count: 7 }, "failure"],
    ["a folder that cannot be written to", "EACCES", "unknown"]
  ])("whose disk has %s", (_, syncs, status) => {
    assert.deepStrictEqual(found({}, syncs), status === undefined ? {} : { "disk.sync": status })
  })

  it("has what is urgent first, and advice for all that is not ok", () => {
    const facts = { ...good, ...mount("tmpfs"), hugePages: "always", descriptors: undefined }
    const checks = byUrgency(machineChecks(facts, fast))
    assert.deepStrictEqual(checks.slice(0, 3).map(({ status }) => status), ["failure", "warning", "unknown"])
    for (const { advice, limit, name, status } of checks) {
      if (status === "failure" || status === "warning") assert.isNotEmpty(advice, name)
      if (status !== "unknown") assert.isNotEmpty(limit, name)
    }
  })
})

describe("mountinfo", () => {
  const text = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro",
    "30 22 0:25 / /var/lib rw,noatime - tmpfs tmpfs rw,size=1k",
    "31 30 8:2 / /var/lib/my\\040data rw - xfs /dev/sdb rw,nobarrier",
    "broken line"
  ].join("\n")

  it("names the deepest mount above a path, with the options of both kinds", () => {
    assert.deepStrictEqual(mountAt(text, "/var/lib/my data/node-1"), {
      point: "/var/lib/my data",
      type: "xfs",
      options: ["rw", "nobarrier"]
    })
    assert.strictEqual(mountAt(text, "/var/library")?.point, "/")
    assert.strictEqual(mountAt(text, "/var/lib")?.type, "tmpfs")
    assert.isUndefined(mountAt("", "/"))
  })

  it("has the memory limits of all control groups above a process", () => {
    assert.deepStrictEqual(groupLimitFiles("0::/a/b\n"), [
      "/sys/fs/cgroup/a/b/memory.max",
      "/sys/fs/cgroup/a/memory.max",
      "/sys/fs/cgroup/memory.max"
    ])
    assert.deepStrictEqual(groupLimitFiles("5:cpu:/x\n4:memory:/\n"), ["/sys/fs/cgroup/memory/memory.limit_in_bytes"])
  })
})

it.live("a file of a data directory that another user owns is found", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    writeFileSync(`${folder}/CURRENT`, "")
    const { uid } = statSync(folder)
    assert.isUndefined(strangerIn(folder, uid))
    assert.deepStrictEqual(strangerIn(folder, uid + 1), { name: "CURRENT", uid, owner: uid + 1 })
    assert.isUndefined(strangerIn(`${folder}/none`, uid))
  }).pipe(Effect.scoped))

describe("the probe of syncs", () => {
  it("takes percentiles of the sorted times", () => {
    assert.deepStrictEqual(timesOf([4, 1, 3, 2]), { count: 4, p50: 3, p99: 4, max: 4 })
    assert.deepStrictEqual(timesOf([]), { count: 0, p50: 0, p99: 0, max: 0 })
  })

  it.live("writes a bounded file that nothing is left of", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { count, max, p50, p99 } = yield* probeSyncs(folder)
      assert.isAtLeast(count, 50)
      assert.isAtMost(count, maxSyncs)
      assert.isTrue(0 < p50 && p50 <= p99 && p99 <= max)
      assert.isEmpty(readdirSync(folder))
      const refused = yield* Effect.flip(probeSyncs(`${folder}/none`))
      assert.match(refused, /ENOENT/)
    }).pipe(Effect.scoped), 60_000)
})
