export { freePorts } from "../../src/bin/FreePorts.ts"
