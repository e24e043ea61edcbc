/** Which file system a folder is on, from `/proc/self/mountinfo`, and what is wrong with it for a log. */
import type { Check } from "../checks/Check.ts"
import { judge } from "../checks/Check.ts"

export interface Mount {
  readonly point: string
  readonly type: string
  readonly options: ReadonlyArray<string>
}

/** Blanks and backslashes of a path are written as octal numbers. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

const mountOf = (line: string): Mount | undefined => {
  const [before = "", after = ""] = line.split(" - ")
  const [, , , , point, own] = before.split(" ")
  const [type, , superOptions = ""] = after.split(" ")
  if (point === undefined || own === undefined || type === undefined || type === "") return undefined
  return { point: unescape(point), type, options: [...new Set([...own.split(","), ...superOptions.trim().split(",")])] }
}

const isBelow = (path: string, point: string): boolean =>
  path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`)

/** The mount that `path`, which has no links in it, is on: the deepest, and of those at one place the last. */
export const mountAt = (mountinfo: string, path: string): Mount | undefined => {
  let found: Mount | undefined
  for (const line of mountinfo.split("\n")) {
    const mount = mountOf(line)
    if (mount === undefined || !isBelow(path, mount.point)) continue
    if (found === undefined || mount.point.length >= found.point.length) found = mount
  }
  return found
}

const inMemory = new Set(["tmpfs", "ramfs", "devtmpfs"])
const overNetwork = new Set(["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs"])

/** Options that let a sync return before the disk has the bytes. */
const withoutBarriers = (options: ReadonlyArray<string>): string | undefined =>
  options.find((option) => ["nobarrier", "barrier=0", "barrier=none", "sync=disabled", "volatile"].includes(option))

const onDisk = "put --data-dir on a local disk with ext4 or XFS"

/** What the file system promises of a sync. `path` is what the check is about. */
export const mountCheck = (path: string, { options, point, type }: Mount): Check => {
  const barrier = withoutBarriers(options)
  return judge(
    "disk.mount",
    `${path} is on ${type} at ${point} (${options.join(",")})`,
    "a local file system whose fsync reaches the disk",
    [
      [inMemory.has(type), "failure", `a restart of the machine loses everything; ${onDisk}`],
      [
        barrier !== undefined,
        "failure",
        `${barrier} lets fsync return early, and power loss loses what was acknowledged; remount ${point} without it`
      ],
      [
        options.includes("ro"),
        "failure",
        `${point} is mounted read-only; remount it, and look for disk errors in the kernel's log`
      ],
      [overNetwork.has(type), "failure", `locks and syncs of ${type} are not those of a disk; ${onDisk}`],
      [
        type === "overlay",
        "warning",
        "it is a container's own layer, and goes with the container; mount a volume there"
      ],
      [type.startsWith("fuse"), "warning", `what a sync means is up to the program behind ${type}; ${onDisk}`],
      [
        options.includes("data=writeback"),
        "warning",
        "after a power loss files may hold old blocks; remount with data=ordered"
      ]
    ]
  )
}
