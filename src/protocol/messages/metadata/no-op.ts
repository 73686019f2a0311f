import { message } from "../../schema.ts";

/** Kafka's NoOpRecord. */
export const noOpRecord = message("NoOpRecord", { apiKey: 20, versions: "0", flexible: "0+" }, {});
