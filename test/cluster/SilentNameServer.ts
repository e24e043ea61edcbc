/**
 * A name server that takes every question and answers none, and nodes that ask no other: names in `/etc/hosts` are found, all
 * others stay open until the resolver of the system gives up. Needs Linux, and root for port 53 and for a mount of its own.
 */
import { Effect, FileSystem } from "effect"
import { execFileSync } from "node:child_process"
import { createSocket } from "node:dgram"
import { launcher } from "./Flaredb.ts"

/** An address of this machine that nothing else listens on. */
const address = "127.0.71.53"

/** Why these tests cannot run on this machine; absent when they can. */
export const missing = ((): string | undefined => {
  if (process.platform !== "linux") return "needs Linux"
  try {
    execFileSync("unshare", [
      "--mount",
      "sh",
      "-c",
      "mount --bind /etc/hosts /etc/resolv.conf && grep -q dns /etc/nsswitch.conf"
    ], {
      stdio: "ignore"
    })
    return undefined
  } catch {
    return "needs root, for a resolv.conf of its own"
  }
})()

export interface SilentNameServer {
  /** What Node runs for a command of `flaredb` that asks this server. */
  readonly program: (...args: ReadonlyArray<string>) => ReadonlyArray<string>
  /** The names that are found without a name server, all at 127.0.0.1. */
  readonly setKnown: (names: ReadonlyArray<string>) => Effect.Effect<void>
  /** How many questions have come. */
  readonly questions: () => number
}

/** Listens until the scope ends. */
export const make = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-names-" })
  const [resolvers, hosts] = [`${folder}/resolv.conf`, `${folder}/hosts`]
  yield* files.writeFileString(resolvers, `nameserver ${address}\n`)
  // Written in place, because the nodes have this very file mounted.
  const setKnown: SilentNameServer["setKnown"] = (names) =>
    Effect.orDie(files.writeFileString(hosts, names.map((name) => `127.0.0.1 ${name}\n`).join("")))
  yield* setKnown([])
  let count = 0
  yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createSocket>, Error>((resume) => {
      const socket = createSocket("udp4")
      socket.once("error", (error) => resume(Effect.fail(error)))
      socket.on("message", () => {
        count++
      })
      socket.bind(53, address, () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.close())
  )
  const mounts = `mount --bind '${resolvers}' /etc/resolv.conf && mount --bind '${hosts}' /etc/hosts`
  const shell = ["unshare", "--mount", "sh", "-c", `${mounts} && exec "$0" ${launcher} "$@"`, process.execPath]
  const program: SilentNameServer["program"] = (...args) => [
    "--eval",
    `process.execve("/usr/bin/unshare", ${JSON.stringify([...shell, ...args])}, process.env)`
  ]
  return { program, setKnown, questions: () => count } satisfies SilentNameServer
})
