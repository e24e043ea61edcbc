/** `process.exit` waits for all threads of the pool, and a full disk may hold one of them for ever. */
import { assert, it } from "@effect/vitest"
import { execFile, execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const modulePath = fileURLToPath(new URL("../../src/BlockedThreads.ts", import.meta.url))

/** A program whose pool has a thread that waits for somebody to write to a pipe, which no one does. */
const program = `
import { open } from "node:fs"
import { noteBlockedThread } from ${JSON.stringify(modulePath)}
const takeBack = noteBlockedThread()
if (process.argv[1] === "held") open(process.argv[2], "r", () => undefined)
else takeBack()
setTimeout(() => process.exit(3), 50)
`

const ended = (folder: string, thread: "held" | "free") =>
  new Promise<{ readonly code: unknown; readonly signal: unknown }>((resolve) => {
    const child = execFile(
      process.execPath,
      ["--input-type=module", "--eval", program, thread, join(folder, "pipe")],
      { timeout: 20_000, killSignal: "SIGTERM" }
    )
    child.on("exit", (code, signal) => resolve({ code, signal }))
  })

it.runIf(process.platform !== "win32")(
  "a program with an embedded node exits though a thread is blocked, with its own code otherwise",
  { timeout: 60_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "flaredb-blocked-"))
    try {
      execFileSync("mkfifo", [join(folder, "pipe")])
      assert.deepStrictEqual(await ended(folder, "held"), { code: null, signal: "SIGKILL" })
      assert.deepStrictEqual(await ended(folder, "free"), { code: 3, signal: null })
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
)
