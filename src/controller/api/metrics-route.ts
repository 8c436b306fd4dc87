import type { ControllerService } from '#controller/service.ts';
import type { Log } from '#core/ports.ts';
import { Type } from 'typebox';
import type { ApiServer } from './api.ts';
import { Metrics } from './metrics.ts';
import { answers } from './route-schemas.ts';

/** `/metrics`, where Prometheus looks for it. */
export function addMetricsRoute(server: ApiServer, service: ControllerService, log: Log): void {
  const metrics = new Metrics(service, log);
  const ok = { description: "Prometheus' text format 0.0.4", content: { 'text/plain': { schema: Type.String() } } };
  server.get(
    '/metrics',
    {
      schema: {
        summary: 'Figures for a monitoring system; counters begin at 0 when the controller starts',
        response: answers({ 200: ok }),
      },
    },
    async (_request, reply) => {
      const text = await metrics.text();
      return reply.type(metrics.contentType).send(text);
    },
  );
}
