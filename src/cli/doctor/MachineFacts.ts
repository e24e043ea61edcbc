/** A file of a data directory that belongs to another user than the directory, both by their numbers. */
export interface Stranger {
  readonly name: string
  readonly uid: number
  readonly owner: number
}

/** What is read of the machine that the command runs on. What a system does not tell is absent. */
import type { Stats } from "node:fs"
import { lstatSync, readdirSync, realpathSync, statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { totalmem } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileKind } from "../../FileKind.ts"
import { errorCode } from "../../ErrorCode.ts"
import { unreadText } from "../../ErrorText.ts"
import { limitOf } from "../../http/Descriptors.ts"
import type { Room } from "../../storage/DirectoryRoom.ts"
import { bytesBelow, roomAt } from "../../storage/DirectoryRoom.ts"
import type { Mount } from "./Mounts.ts"
import { mountAt } from "./Mounts.ts"

export interface MachineFacts {
  readonly platform: string
  /** The version of Node.js, as `v24.1.0`. */
  readonly node: string
  /** The data directory, and the folder that was looked at: the nearest one above that is there. */
  readonly dataDir: string
  readonly folder: string
  /** Bytes of the files in the data directory; 0 when it is not there, absent when it may not be read. */
  readonly dataBytes: number | undefined
  readonly mode: number | undefined
  /** What is in the place of the directory, or why that cannot be told; absent when it is there, or nothing is. */
  readonly instead: string | undefined
  /** A file whose owner is not the directory's, and the two; `undefined` when there is none, or none can be seen. */
  readonly stranger: Stranger | undefined
  readonly room: Room | undefined
  readonly mount: Mount | undefined
  readonly preloaded: string
  readonly descriptors: number | undefined
  readonly memoryBytes: number
  readonly availableBytes: number | undefined
  /** The least of the limits of the control groups above this process. */
  readonly groupLimitBytes: number | undefined
  readonly swapUsedBytes: number | undefined
  readonly hugePages: string | undefined
}

/** What a reading found; absent where the system does not let it. */
const orAbsent = <A>(reading: Promise<A>): Promise<A | undefined> => reading.catch(() => undefined)

const read = (path: string): Promise<string | undefined> => orAbsent(readFile(path, "utf8"))

/** What is known of a path; nothing also when a folder above it may not be looked into. */
const statsOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** What there is in the place of a directory, if anything. */
const insteadOf = (path: string): string | undefined => {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined && lstatSync(path, { throwIfNoEntry: false }) !== undefined) return "a link to nothing"
    return found?.isDirectory() === false ? fileKind(found) : undefined
  } catch (error) {
    return errorCode(error) === "ENOTDIR"
      ? "below a file, where nothing can be made"
      : `unknown to this user: ${unreadText(error)}`
  }
}

/** The first file in a data directory that another user owns, as one that was made by a command that root ran. */
export const strangerIn = (path: string, owner: number): Stranger | undefined => {
  try {
    for (const name of readdirSync(path)) {
      const uid = lstatSync(join(path, name), { throwIfNoEntry: false })?.uid
      if (uid !== undefined && uid !== owner) return { name, uid, owner }
    }
  } catch {
    // What this user may not list is said of its room.
  }
  return undefined
}

/** The nearest folder that is there. */
const nearestFolder = (path: string): string => {
  for (let at = resolve(path);; at = dirname(at)) {
    if (statsOf(at)?.isDirectory() === true) return realpathSync(at)
    if (dirname(at) === at) return at
  }
}

const kibibytes = (text: string | undefined, name: string): number | undefined => {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text ?? "")?.[1]
  return found === undefined ? undefined : Number(found) * 1024
}

/** The files that hold the memory limits of a control group and of those above it. */
export const groupLimitFiles = (groups: string): ReadonlyArray<string> => {
  const files: Array<string> = []
  for (const line of groups.trim().split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    const unified = controllers === ""
    if (!unified && !controllers.split(",").includes("memory")) continue
    const root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
    const name = unified ? "memory.max" : "memory.limit_in_bytes"
    for (let at = path;; at = dirname(at)) {
      files.push(join(root, at, name))
      if (dirname(at) === at) break
    }
  }
  return files
}

const groupLimit = async (): Promise<number | undefined> => {
  const groups = await read("/proc/self/cgroup")
  if (groups === undefined) return undefined
  const limits = await Promise.all(groupLimitFiles(groups).map(read))
  const numbers = limits.flatMap((text) => /^\d+$/.test(text?.trim() ?? "") ? [Number(text)] : [])
  // The first hierarchy says "no limit" as a number close to 2^63.
  const real = numbers.filter((bytes) => bytes < 2 ** 60)
  return real.length === 0 ? undefined : Math.min(...real)
}

/** Reads all of it. Changes nothing. */
export const machineFacts = async (dataDir: string): Promise<MachineFacts> => {
  const folder = nearestFolder(dataDir)
  const stats = statsOf(dataDir)
  const isThere = stats?.isDirectory() === true
  const [mountinfo, limits, memory, hugePages, preload] = await Promise.all([
    read("/proc/self/mountinfo"),
    read("/proc/self/limits"),
    read("/proc/meminfo"),
    read("/sys/kernel/mm/transparent_hugepage/enabled"),
    read("/etc/ld.so.preload")
  ])
  const swapTotal = kibibytes(memory, "SwapTotal")
  const swapFree = kibibytes(memory, "SwapFree")
  return {
    platform: process.platform,
    node: process.version,
    dataDir,
    folder,
    dataBytes: isThere ? await orAbsent(bytesBelow(dataDir)) : 0,
    mode: isThere && process.platform !== "win32" ? stats.mode & 0o777 : undefined,
    instead: insteadOf(dataDir),
    stranger: isThere && process.platform !== "win32" ? strangerIn(dataDir, stats.uid) : undefined,
    room: await orAbsent(roomAt(folder)),
    mount: mountinfo === undefined ? undefined : mountAt(mountinfo, folder),
    preloaded: `${process.env["LD_PRELOAD"] ?? ""} ${preload ?? ""}`.trim(),
    descriptors: limits === undefined ? undefined : limitOf(limits),
    memoryBytes: totalmem(),
    availableBytes: kibibytes(memory, "MemAvailable"),
    groupLimitBytes: await groupLimit(),
    swapUsedBytes: swapTotal === undefined || swapFree === undefined ? undefined : swapTotal - swapFree,
    hugePages: /\[(\w+)\]/.exec(hugePages ?? "")?.[1]
  }
}
