import t from 'tap';
import { findRoute, ROUTES } from '#src/api/routes.ts';

t.test('finds a row by method and path', async (t) => {
  for (const route of ROUTES) t.equal(findRoute(route.method, route.path), route);
  t.throws(() => findRoute('GET', '/v1/nothing'), { code: 'API', apiCode: 'NOT_FOUND' });
  t.throws(() => findRoute('GET', '/v1/run'), {
    code: 'API',
    apiCode: 'METHOD_NOT_ALLOWED',
    message: 'POST only',
  });
  t.throws(() => findRoute('DELETE', '/v1/status'), {
    code: 'API',
    apiCode: 'METHOD_NOT_ALLOWED',
    message: 'GET only',
  });
});
