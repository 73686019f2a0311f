/** What went in and out, counted where it happens and gathered when somebody asks. */
export interface Traffic {
  messagesIn: number;
  /** Of record batches. */
  bytesIn: number;
  bytesOut: number;
  /** Parts of Produce requests; those that were refused are among them. */
  produceRequests: number;
  failedProduceRequests: number;
  /** The same of Fetch. */
  fetchRequests: number;
  failedFetchRequests: number;
}

export function noTraffic(): Traffic {
  return {
    messagesIn: 0,
    bytesIn: 0,
    bytesOut: 0,
    produceRequests: 0,
    failedProduceRequests: 0,
    fetchRequests: 0,
    failedFetchRequests: 0,
  };
}

export function addTraffic(sum: Traffic, traffic: Readonly<Traffic>): void {
  sum.messagesIn += traffic.messagesIn;
  sum.bytesIn += traffic.bytesIn;
  sum.bytesOut += traffic.bytesOut;
  sum.produceRequests += traffic.produceRequests;
  sum.failedProduceRequests += traffic.failedProduceRequests;
  sum.fetchRequests += traffic.fetchRequests;
  sum.failedFetchRequests += traffic.failedFetchRequests;
}
