/** `deploy/backup/flaredb-backup` with a command line that makes files: what is kept, and what a failure removes. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"

const root = join(import.meta.dirname, "../../..")

/** Stands in for `bin/flaredb.js`: writes what it was asked, and fails where a file of that name says so. */
const commandLine = `
import { existsSync, writeFileSync } from "node:fs"
const [verb, file, ...rest] = process.argv.slice(2)
const here = (name) => existsSync(new URL("../" + name, import.meta.url))
console.log(verb, ...rest)
if (here("fail-" + verb)) process.exit(1)
if (verb === "backup") writeFileSync(file, "whole")
if (verb === "backup" && here("wait")) { console.log("WAITS"); process.stdin.resume() }
`

const hasFlock = spawnSync("flock", ["--version"]).status === 0
if (!hasFlock) {
  console.warn("backup-script.test.ts is skipped: there is no flock (on Debian: apt-get install util-linux)")
}

describe.skipIf(!hasFlock)("the script of backups", () => {
  let folder: string
  const at = (...names: ReadonlyArray<string>) => join(folder, ...names)
  const script = () => at("opt/deploy/backup/flaredb-backup")

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "flaredb-backup-script-"))
    for (const name of ["opt/bin", "opt/deploy/backup", "backups"]) mkdirSync(at(name), { recursive: true })
    copyFileSync(join(root, "deploy/backup/flaredb-backup"), script())
    writeFileSync(at("opt/bin/flaredb.js"), commandLine)
    writeFileSync(at("opt/package.json"), `{"type":"module"}`)
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const env = { PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` }
  const run = (...args: ReadonlyArray<string>) => spawnSync(script(), args, { encoding: "utf8", env })
  const files = () => readdirSync(at("backups")).filter((name) => !name.startsWith(".")).sort()

  const before = ["20260101T031700Z", "20260102T031700Z", "20260103T031700Z"].map((time) => `flaredb-${time}.flaredb`)
  const fill = () => before.forEach((name) => writeFileSync(at("backups", name), "whole"))

  it("keeps the newest, and what is not its own", () => {
    fill()
    writeFileSync(at("backups/notes.txt"), "")
    writeFileSync(at("backups/flaredb-20260103T031700Z.flaredb.partial-17"), "")
    const ran = run(at("backups"), "2")
    assert.strictEqual(ran.status, 0, ran.stderr)
    assert.strictEqual(ran.stdout, "backup --timeout 1h\nrestore --dry-run\n")
    const [kept, made, notes, ...more] = files()
    assert.deepEqual([kept, notes, more], [before[2], "notes.txt", []])
    assert.match(made ?? "", /^flaredb-\d{8}T\d{6}Z\.flaredb$/)
    assert.strictEqual(statSync(at("backups", made ?? "")).mode & 0o077, 0)
  })

  it.each(["backup", "restore"])("removes nothing when %s fails, and says so", (verb) => {
    fill()
    writeFileSync(at(`opt/fail-${verb}`), "")
    const ran = run(at("backups"), "1")
    assert.strictEqual(ran.status, 1)
    assert.deepEqual(files().filter((name) => name.endsWith(".flaredb")), before)
  })

  it("refuses a second one beside it, and not after it was killed", async () => {
    writeFileSync(at("opt/wait"), "")
    const first = spawn(script(), [at("backups"), "1"], { env, stdio: ["pipe", "pipe", "inherit"], detached: true })
    // The pipe closes with the last process that has it, and so has the lock.
    const ended = once(first, "close")
    await new Promise<void>((resolve) =>
      first.stdout.setEncoding("utf8").on("data", (text: string) => text.includes("WAITS") && resolve())
    )
    rmSync(at("opt/wait"))
    const second = run(at("backups"), "1")
    assert.deepEqual([second.status, second.stdout], [1, ""])
    assert.include(second.stderr, "is running")
    process.kill(-(first.pid as number), "SIGKILL")
    await ended
    assert.strictEqual(run(at("backups"), "1").status, 0)
  })

  it.each([[[]], [["/x"]], [["/x", "0"]], [["/x", "many"]], [["/x", "-1"]]])("refuses %j", (args) => {
    const ran = run(...args)
    assert.deepEqual([ran.status, ran.stdout], [2, ""])
    assert.include(ran.stderr, "KEEP")
  })

  it("is what the timer, cron and Kubernetes run", () => {
    const call = "/opt/flaredb/deploy/backup/flaredb-backup /var/lib/flaredb-backups 14"
    assert.include(readFileSync(join(root, "deploy/systemd/flaredb-backup.service"), "utf8"), `ExecStart=${call}\n`)
    assert.include(readFileSync(join(root, "deploy/backup/flaredb-backup.cron"), "utf8"), ` flaredb ${call} `)
    assert.strictEqual(statSync(join(root, "deploy/backup/flaredb-backup")).mode & 0o111, 0o111)
  })
})
