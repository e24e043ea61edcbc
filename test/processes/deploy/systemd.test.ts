/** The units in `deploy/systemd`, as systemd itself reads them, and how little they leave a process to do. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const root = join(import.meta.dirname, "../../..")

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0
if (!hasSystemd) {
  console.warn("systemd.test.ts is skipped: there is no systemd-analyze (on Debian: apt-get install systemd)")
}

const units = ["flaredb@.service", "flaredb-backups.service"]

/** What systemd computes of 10 for a process that may do everything, and may not exceed here. */
const mostExposure = 1.6

describe.skipIf(!hasSystemd)("the units", () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "flaredb-units-"))
    for (const unit of units) {
      // systemd looks whether programs and documents exist.
      const text = readFileSync(join(root, "deploy/systemd", unit), "utf8").replaceAll("/opt/flaredb", root)
      writeFileSync(join(folder, unit), text)
    }
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const analyze = (...args: ReadonlyArray<string>) => {
    const { status, stderr, stdout } = spawnSync("systemd-analyze", args, { cwd: folder, encoding: "utf8" })
    return { status, printed: `${stdout}${stderr}` }
  }

  it("are read without a complaint", () => {
    // It reads the units of the system as well, which are not ours to mend.
    const own = (printed: string) => printed.split("\n").filter((line) => line.includes("flaredb"))
    for (const unit of ["./flaredb@1.service", "./flaredb-backups.service"]) {
      assert.deepEqual(own(analyze("verify", "--man=no", unit).printed), [], unit)
    }
    writeFileSync(join(folder, "flaredb-wrong.service"), "[Service]\nExecStart=/bin/true\nProtectSystm=strict\n")
    assert.isNotEmpty(own(analyze("verify", "--man=no", "./flaredb-wrong.service").printed))
  })

  it.each(units)("leave a process little to do: %s", (unit) => {
    const { printed, status } = analyze("security", "--offline=true", `--threshold=${mostExposure * 10}`, `./${unit}`)
    assert.strictEqual(status, 0, printed)
    assert.match(printed, /Overall exposure level for flaredb.*: \d\.\d OK/)
    const open = analyze("security", "--offline=true", "--threshold=10", `./${unit}`)
    assert.notStrictEqual(open.status, 0, "the threshold is asked for")
  })

  it("make backups as cron does", () => {
    const unit = readFileSync(join(root, "deploy/systemd/flaredb-backups.service"), "utf8")
    const cron = readFileSync(join(root, "deploy/systemd/flaredb-backups.cron"), "utf8")
    const [, command = "", schedule = ""] = /^ExecStart=(.*) --every 1h (.*) --metrics-file \S+$/m.exec(unit) ?? []
    assert.include(command, "flaredb.js backups run --dir /var/lib/flaredb-backups")
    assert.include(cron, `\n17 * * * * flaredb ${command} --once ${schedule} >/dev/null\n`)
  })
})
