/**
 * The processes that came of a command: those that descend from it, and those that carry its mark in their environment.
 * A process whose parent has ended belongs to somebody else's tree, but keeps the environment that it was started with.
 * What clears its environment and leaves the tree as well, or runs as another user, is not found.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

/** A process as it was started: its id alone may be somebody else's by now. */
export interface Root {
  readonly pid: number
  /** Empty where the system does not tell. */
  readonly started: string
}

interface Seen {
  readonly pid: number
  readonly parent: number
  readonly started: string
}

/** The fields of `/proc/PID/stat` behind the name, which may hold anything: state, parent, group, session, … */
const statOf = (pid: number | "self"): ReadonlyArray<string> =>
  readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? []

const seen = (pid: number): Seen | undefined => {
  try {
    const stat = statOf(pid)
    // One that has ended and was not waited for yet does nothing any more.
    return stat[0] === "Z" || stat[0] === "X"
      ? undefined
      : { pid, parent: Number(stat[1]), started: stat[19] ?? "" }
  } catch {
    return undefined
  }
}

/** On systems without `/proc`. */
const listed = (): ReadonlyArray<Seen> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid=,state="], { encoding: "utf8", maxBuffer: 16 * 1024 * 1024 })
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([pid, , state]) => Number(pid) > 0 && state?.startsWith("Z") !== true)
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent), started: "" }))

const all = (): ReadonlyArray<Seen> =>
  process.platform === "linux"
    ? readdirSync("/proc").flatMap((name) => /^\d+$/.test(name) ? seen(Number(name)) ?? [] : [])
    : listed()

const hasMark = (pid: number, mark: string): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(mark)
  } catch {
    return false
  }
}

/** The process as it is now; `undefined` when it has ended. */
export const rootOf = (pid: number): Root | undefined => process.platform === "linux" ? seen(pid) : { pid, started: "" }

/** Whether this process is in the foreground of a terminal, which then sends its signals to the command as well. */
export const inForeground = (): boolean => {
  try {
    const stat = statOf("self")
    return stat[4] !== "0" && stat[2] === stat[5]
  } catch {
    return process.stdin.isTTY === true
  }
}

/** The processes of the command that run now. */
const processesOf = (root: Root | undefined, mark: string): ReadonlyArray<number> => {
  const found = new Set<number>()
  const processes = all()
  const children = new Map<number, Array<number>>()
  for (const { parent, pid } of processes) {
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [pid])
    else siblings.push(pid)
  }
  const add = (pid: number): void => {
    if (found.has(pid) || pid === process.pid) return
    found.add(pid)
    for (const child of children.get(pid) ?? []) add(child)
  }
  for (const { pid, started } of processes) {
    if ((pid === root?.pid && started === root.started) || hasMark(pid, mark)) add(pid)
  }
  return [...found]
}

const send = (pids: ReadonlyArray<number>, signal: NodeJS.Signals): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended meanwhile, or belongs to another user.
    }
  }
}

/** Sends a signal to all processes of the command. */
export const signalAll = (root: Root | undefined, mark: string, signal: NodeJS.Signals): void =>
  send(processesOf(root, mark), signal)

/** How often it is looked whether all have ended, in milliseconds. */
const lookMs = 50

/** Milliseconds for which processes that were killed may stay: the disk may block one. */
const killedMs = 2_000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Ends all processes of the command: by SIGKILL once `killAt`, a time of `performance.now()`, has come. Gives up only
 * those that it has killed: this process may be stopped, or have no processor, until long after that time.
 */
export const endAll = async (root: Root | undefined, mark: string, killAt: () => number): Promise<void> => {
  /** When each process was killed first. */
  const killedAtMs = new Map<number, number>()
  let emptyLooks = 0
  // One that is being started while it is looked may be missed once.
  while (emptyLooks < 2) {
    const processes = processesOf(root, mark)
    emptyLooks = processes.length === 0 ? emptyLooks + 1 : 0
    const nowMs = performance.now()
    const isDue = nowMs >= killAt()
    if (isDue && processes.length > 0) {
      if (processes.every((pid) => nowMs - (killedAtMs.get(pid) ?? nowMs) > killedMs)) return
      send(processes, "SIGKILL")
      for (const pid of processes) if (!killedAtMs.has(pid)) killedAtMs.set(pid, nowMs)
    }
    await pause(processes.length === 0 || isDue ? 5 : lookMs)
  }
}
