/**
 * `npm run sbom`: the parts of what is shipped, as CycloneDX JSON on standard output, without a network. It is npm's
 * own `sbom` over the lock file, less what is not shipped (`tools/shipped.js`).
 * `npm sbom --omit=dev` would also drop what is shipped and needed for development as well
 * (findings/npm-sbom-omit-dev.sh).
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { placesOf, shippedNames } from "./shipped.js"

const shell = { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }
const args = ["sbom", "--include=peer", "--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only"]
const npm = process.env.npm_execpath
const sbom = JSON.parse(
  npm === undefined ? execFileSync("npm", args, shell) : execFileSync(process.execPath, [npm, ...args], shell)
)
const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"))

const shipped = new Set([sbom.metadata.component["bom-ref"]])
for (const place of placesOf(shippedNames())) {
  shipped.add(`${place.slice(place.lastIndexOf("node_modules/") + 13)}@${packages[place].version}`)
}

sbom.components = sbom.components.filter((component) => shipped.has(component["bom-ref"]))
sbom.dependencies = sbom.dependencies
  .filter(({ ref }) => shipped.has(ref))
  .map(({ dependsOn, ref }) => ({ ref, dependsOn: dependsOn.filter((other) => shipped.has(other)) }))
process.stdout.write(`${JSON.stringify(sbom, null, 2)}\n`)
