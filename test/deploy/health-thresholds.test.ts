/** Rules of alerts are files: they and the pages about them have the thresholds that doctor and console judge by. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { healthThresholds, roomLevel } from "../../src/config/HealthThresholds.ts"

const root = join(import.meta.dirname, "../..")
const text = (path: string): string => readFileSync(join(root, path), "utf8")

interface Rules {
  readonly groups: ReadonlyArray<
    { readonly rules: ReadonlyArray<{ readonly alert?: string; readonly expr: string }> }
  >
}

const rules = (parse(text("deploy/prometheus/flaredb.rules.yml")) as Rules).groups.flatMap((group) => group.rules)

const {
  backupHours,
  clockMs,
  criticalRoomBytes,
  criticalRoomShare,
  endingCertificateDays,
  failingClockMs,
  heapShare,
  lagEntries,
  lateCertificateDays,
  lowRoomBytes,
  lowRoomShare,
  renewCertificateDays,
  slowSyncMs,
  tableShare
} = healthThresholds

it.each([
  ["FlareDbSyncSlow", `> ${slowSyncMs / 1_000}`],
  ["FlareDbDiskLow", `< ${lowRoomShare}`],
  ["FlareDbDiskAlmostFull", `< ${criticalRoomShare}`],
  ["FlareDbHeapNearLimit", `> ${heapShare}`],
  ["FlareDbFollowerLags", `> ${lagEntries}`],
  ["FlareDbClockDifference", `> ${clockMs / 1_000}`],
  ["FlareDbTableNearLimit", `> ${tableShare}`],
  ["FlareDbDescriptorsNearLimit", `> ${tableShare}`],
  ["FlareDbBackupOld", `> ${backupHours} * 3600`],
  ["FlareDbCertificateExpires", `< ${lateCertificateDays} * 24 * 3600`],
  ["FlareDbCertificateEnds", `< ${endingCertificateDays} * 24 * 3600`]
])("the rule %s compares with the threshold of the record", (alert, comparison) => {
  const found = rules.filter((rule) => rule.alert === alert).map(({ expr }) =>
    /[<>] [\d.]+(?: \* \d+)*/.exec(expr)?.[0]
  )
  assert.deepStrictEqual(found, [comparison])
})

it("the pages name the same", () => {
  const [low, critical] = [lowRoomShare, criticalRoomShare].map((share) => `${share * 100} %`)
  const lag = lagEntries.toLocaleString("en")
  const [alerts, console, doctor] = [text("docs/alerts.md"), text("docs/console.md"), text("docs/doctor.md")]
  assert.include(alerts, `takes more than ${slowSyncMs / 1_000} s`)
  assert.include(alerts, `Less than ${low} of the file system is free`)
  assert.include(alerts, `lacks more than ${lag} entries`)
  assert.include(console, `more than ${lag} are a warning`)
  assert.include(doctor, `${low} or 1 GiB of the disk left`)
  assert.include(doctor, `less than ${critical} or 256 MiB left`)
  assert.include(doctor, `more than ${lag} entries behind`)
  assert.include(doctor, `more than ${clockMs / 1_000} s apart`)
  assert.include(doctor, `more than ${failingClockMs / 1_000} s`)
  assert.include(doctor, `${renewCertificateDays} days left`)
  assert.include(doctor, `\`--backup-age\`, ${backupHours} h`)
})

it("room is judged by its share and by what there is", () => {
  const large = 1024 ** 5
  assert.strictEqual(roomLevel(large * lowRoomShare, large), "enough")
  assert.strictEqual(roomLevel(large * lowRoomShare - 1, large), "low")
  assert.strictEqual(roomLevel(large * criticalRoomShare - 1, large), "critical")
  const small = 2 * lowRoomBytes
  assert.strictEqual(roomLevel(lowRoomBytes, small), "enough")
  assert.strictEqual(roomLevel(lowRoomBytes - 1, small), "low")
  assert.strictEqual(roomLevel(criticalRoomBytes - 1, small), "critical")
})
