/** What is said of paths that are something else than was asked for: what they are, and what to give. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { certificatesOf } from "../../../src/cli/commands/CertShow.ts"
import { readText } from "../../../src/cli/certificates/CertificateFolder.ts"
import { inspect } from "../../../src/storage/Inspect.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

it.live("a folder of certificates is shown by naming those in it", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const empty = yield* Effect.flip(certificatesOf(folder, 100))
    assert.strictEqual(empty.line, `${folder} is a folder; name a certificate in it, a file in PEM form`)
    mkdirSync(join(folder, "node-1"))
    for (const name of ["ca.crt", "node-1/node.crt"]) writeFileSync(join(folder, name), "")
    const { exitCode, line } = yield* Effect.flip(certificatesOf(folder, 100))
    assert.strictEqual(exitCode, 2)
    assert.strictEqual(
      line,
      `${folder} is a folder; give one of ${join(folder, "ca.crt")}, ${join(folder, "node-1", "node.crt")}, ` +
        `or run flaredb cert check --certs-dir ${folder}`
    )
  }).pipe(Effect.scoped))

it.live("a device is called what it is", () =>
  Effect.gen(function*() {
    const path = "/dev/null"
    assert.strictEqual((yield* Effect.flip(readText(path))).line, `${path}: it is a device; name a file`)
    assert.include((yield* Effect.flip(inspect(path, () => Effect.void))).message, "found a device")
  }))
