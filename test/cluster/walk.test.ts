/**
 * The walk through the command line in `docs/command-line.md`, step by step: each command prints what stands there, and
 * ends with the exit code that stands there. `…` in the document stands for what differs from run to run.
 *
 * Lines of the shell are carried out by a shell, with a process for each command. What is a command and nothing else is
 * carried out in the process of the test: `test/processes/cli` has each kind of them as a process.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { spawn as spawnProcess } from "node:child_process"
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { eventually } from "../Eventually.ts"
import { startArgs, untilLine } from "../processes/cli/CommandLine.ts"
import { runInProcess } from "../processes/cli/InProcess.ts"
import { launcher } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"
import { untilEntries } from "./Metrics.ts"

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

interface Printed {
  readonly code: number | null
  /** On both outputs together. */
  readonly printed: string
}

interface Surroundings {
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** Runs a line of the shell. `attend` is given the process and what it has printed so far, and may send a signal. */
const shell = (
  command: string,
  { cwd, env }: Surroundings,
  attend: (interrupt: () => void, printed: () => string) => Effect.Effect<unknown> = () => Effect.void
) =>
  Effect.scoped(Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawnProcess("bash", ["-c", `exec 2>&1\n${command}`], {
          cwd,
          env: { ...process.env, ...env },
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (spawned) => Effect.sync(() => spawned.kill("SIGKILL"))
    )
    let printed = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text
    })
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
    yield* attend(() => child.kill("SIGINT"), () => printed)
    return { code: yield* Effect.promise(() => ended), printed: printed.trimEnd() } satisfies Printed
  }))

/** The words of a line that is a command and nothing else. */
const plainWords = (line: string): ReadonlyArray<string> | undefined => {
  const word = /'[^']*'|"[^"$`\\]*"|[^\s'"$`\\|&;<>()*?]+/y
  const words: Array<string> = []
  for (let at = 0; at < line.length;) {
    word.lastIndex = at
    const [found] = word.exec(line) ?? []
    const end = at + (found?.length ?? 0)
    if (found === undefined || (line[end] ?? " ") !== " ") return undefined
    words.push(/^['"]/.test(found) ? found.slice(1, -1) : found)
    at = end + 1
  }
  return words
}

/** Of a file in the folder of the walk, with standard input, or with a program that prints: a process. */
const needsProcess = (words: ReadonlyArray<string>): boolean =>
  ["backup", "inspect", "lock", "restore"].includes(words[0] ?? "") || words.includes("-") ||
  words.includes("--output")

/** Carries a step out: in this process if it can be. */
const carryOut = (command: string, surroundings: Surroundings): Effect.Effect<Printed> => {
  const [program, ...words] = plainWords(command) ?? []
  if (program !== "flaredb" || needsProcess(words)) return shell(command, surroundings)
  return runInProcess(words, { env: surroundings.env, oneAtATime: true }).pipe(
    // Remarks come behind what they are about.
    Effect.map(({ code, err, out }) => ({ code, printed: `${out}${err}`.trimEnd() })),
    Effect.provide(NodeServices.layer)
  )
}

/** A command that goes on until it is interrupted. The walk gives it two seconds, in which a busy machine may not start it. */
const untilInterrupted = /^timeout --preserve-status --signal INT \d+ (flaredb .*)$/

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
    const [clientPort = 0, peerPort = 0, httpPort = 0] = ports
    const node = { id: 1, address: { id: 1, host: "127.0.0.1", clientPort, peerPort, httpPort } }
    const surroundings = {
      env: {
        PATH: `${bin}:${process.env["PATH"] ?? ""}`,
        FLAREDB_ENDPOINTS: `127.0.0.1:${clientPort}`
      },
      cwd: folder
    }
    /** Interrupts a command once it has printed all that it should, or, if that is nothing, once it watches. */
    const interrupted = Effect.fnUntraced(function*(command: string, expected: RegExp) {
      const prints = !expected.test("")
      // A watch of an earlier step may not have gone yet.
      if (!prints) yield* untilEntries(node, "watches", (watches) => watches === 0)
      return yield* shell(`exec ${command}`, surroundings, (interrupt, printed) =>
        Effect.andThen(
          prints
            ? eventually(`${command} prints what it should`, () => expected.test(printed().trimEnd()))
            : untilEntries(node, "watches", (watches) => watches > 0),
          Effect.sync(interrupt)
        ))
    })
    const steps = stepsOf(readFileSync(document, "utf8"))
    assert.isAbove(steps.length, 20)
    for (const { code, command, line, output } of steps) {
      const expected = pattern(output)
      const [, endless] = untilInterrupted.exec(command) ?? []
      const ran = yield* endless === undefined ? carryOut(command, surroundings) : interrupted(endless, expected)
      assert.match(ran.printed, expected, `${document}:${line}: ${command}`)
      assert.strictEqual(ran.code, code, `${document}:${line}: ${command}`)
    }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 600_000)
