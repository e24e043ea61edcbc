/**
 * The walk through the command line in `docs/command-line.md`, step by step: each command prints what stands there, and
 * ends with the exit code that stands there. `…` in the document stands for what differs from run to run.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { spawn as spawnProcess } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { startArgs, untilLine } from "../processes/cli/CommandLine.ts"
import { launcher } from "./Flaredb.ts"
import { freePorts } from "./FreePorts.ts"

interface Step {
  readonly command: string
  readonly output: string
  readonly code: number
  readonly line: number
}

const document = "docs/command-line.md"

/** The commands of all `console` blocks, each with the lines up to the next one. */
const stepsOf = (text: string): ReadonlyArray<Step> => {
  const steps: Array<{ command: string; lines: Array<string>; line: number }> = []
  let inBlock = false
  text.split("\n").forEach((line, i) => {
    if (line.startsWith("```")) inBlock = line === "```console"
    else if (inBlock && line.startsWith("$ ")) steps.push({ command: line.slice(2), lines: [], line: i + 1 })
    else if (inBlock) steps.at(-1)?.lines.push(line)
  })
  return steps.map(({ command, line, lines }) => {
    const code = /^# exit code (\d+)$/.exec(lines.at(-1) ?? "")?.[1]
    const output = code === undefined ? lines : lines.slice(0, -1)
    return { command, line, output: output.join("\n"), code: Number(code ?? 0) }
  })
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

const pattern = (output: string): RegExp => new RegExp(`^${output.split("…").map(escaped).join("[^\\n]*")}$`)

/** Runs a line of the shell, and gives what it printed on both outputs together. */
const shell = (command: string, env: Readonly<Record<string, string>>, cwd: string) =>
  Effect.callback<{ readonly code: number | null; readonly printed: string }>((resume) => {
    const child = spawnProcess("bash", ["-c", `exec 2>&1\n${command}`], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"]
    })
    let printed = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text
    })
    child.once("close", (code) => resume(Effect.succeed({ code, printed: printed.trimEnd() })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

it.live("prints what the walk says, in its order", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-walk-" })
    const bin = join(folder, "bin")
    mkdirSync(bin)
    const program = join(bin, "flaredb")
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${resolve(launcher)}" "$@"\n`)
    chmodSync(program, 0o755)
    const ports = yield* freePorts(3)
    yield* untilLine(startArgs(ports, join(folder, "node-1")), /^READY /)
    const env = {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      FLAREDB_ENDPOINTS: `127.0.0.1:${ports[0]}`
    }
    const steps = stepsOf(readFileSync(document, "utf8"))
    assert.isAbove(steps.length, 20)
    for (const { code, command, line, output } of steps) {
      const ran = yield* shell(command, env, folder)
      assert.match(ran.printed, pattern(output), `${document}:${line}: ${command}`)
      assert.strictEqual(ran.code, code, `${document}:${line}: ${command}`)
    }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 600_000)
