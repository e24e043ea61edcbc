/** The image's build gets what it copies: `Dockerfile.dockerignore` keeps away all that it does not name. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"
import { root } from "./Manifests.ts"

const read = (name: string) => readFileSync(join(root, "deploy/docker", name), "utf8")

/** What `COPY` takes from the repository, and not from an earlier stage. */
const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+)$/gm)]
  .flatMap(([, words = ""]) => words.split(" ").slice(0, -1))

it("gives the build of the image each file and folder that it copies, and no others", () => {
  const [first, ...rest] = read("Dockerfile.dockerignore").trim().split("\n")
  assert.strictEqual(first, "*")
  assert.sameMembers(rest, [...new Set(copied)].map((name) => `!${name}`))
})

it("copies what there is", () => {
  assert.isAbove(copied.length, 5)
  for (const name of copied) assert.isTrue(existsSync(join(root, name)), name)
})

it("copies what the build reads beside the packages", () => {
  const build = readFileSync(join(root, "build.sh"), "utf8")
  const named = [...build.matchAll(/\b(?:tools|console|src)\/|\btsconfig\.build\.json\b/g)].map(([name]) => name)
  assert.includeMembers(copied.map((name) => name.replace(/\/$/, "")), named.map((name) => name.replace(/\/$/, "")))
})
