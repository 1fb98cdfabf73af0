<?php
// Drives phpredis: php phpredis.php HOST PORT
//
// The library blocks in subscribe and in psubscribe, so each runs in a process of its own, which tells this one in
// lines of JSON. It cannot ping while it is subscribed, nor subscribe to a pattern on the connection that has topics.

const PATIENCE = 120; // bounds every wait, in seconds; nothing is measured with it
const THOUSAND = 1000;
const MANY = 2000;

define('NAME', 'compat-' . getmypid());
[$host, $port] = [$argv[1], (int) $argv[2]];

function topic(string $name): string { return NAME . ":$name"; }

function same(string $what, $got, $want): void
{
    if ($got !== $want) {
        throw new Exception("$what: got " . json_encode($got) . ', not ' . json_encode($want));
    }
}

function connect(): Redis
{
    global $host, $port;
    $redis = new Redis();
    $redis->connect($host, $port, PATIENCE);
    return $redis;
}

function eventually(string $what, callable $yes): void
{
    $end = microtime(true) + PATIENCE;
    while (!$yes()) {
        if (microtime(true) > $end) {
            throw new Exception("$what: not within " . PATIENCE . ' s');
        }
        usleep(10000);
    }
}

// Subscriber is a process that listens, and subscribes again whenever it loses its connection.
class Subscriber
{
    public int $pid;
    private $pipe;
    private string $text = '';

    public function __construct(string $command, array $names)
    {
        [$this->pipe, $end] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $this->pid = pcntl_fork();
        if ($this->pid === 0) {
            fclose($this->pipe);
            $this->listen($end, $command, $names);
        }
        fclose($end);
    }

    private function listen($end, string $command, array $names): void
    {
        $tell = function (array $event) use ($end) {
            fwrite($end, json_encode(array_map('base64_encode', $event)) . "\n");
        };
        $stop = false;
        while (!$stop) {
            try {
                $redis = connect();
                $redis->setOption(Redis::OPT_READ_TIMEOUT, -1);
                $redis->client('setname', NAME);
                if ($command === 'subscribe') {
                    $redis->subscribe($names, function ($redis, $topic, $payload) use ($tell, $names, &$stop) {
                        $tell(['message', $topic, $payload]);
                        if ($payload === 'leave two') {
                            $redis->unsubscribe([topic('two')]);
                        } elseif ($payload === 'leave all') {
                            $stop = true;
                            $redis->unsubscribe($names);
                        }
                    });
                } else {
                    $redis->psubscribe($names, function ($redis, $pattern, $topic, $payload) use ($tell, $names, &$stop) {
                        $tell(['pmessage', $pattern, $topic, $payload]);
                        if ($payload === 'leave all') {
                            $stop = true;
                            $redis->punsubscribe($names);
                        }
                    });
                }
            } catch (RedisException $e) {
                $tell(['lost', $e->getMessage()]);
                usleep(10000);
            }
        }
        posix_kill(posix_getpid(), SIGKILL); // nothing of the parent's is to be tidied up here
    }

    public function next(): array
    {
        $end = microtime(true) + PATIENCE;
        while (($newline = strpos($this->text, "\n")) === false) {
            $left = $end - microtime(true);
            [$read, $none] = [[$this->pipe], null];
            if ($left <= 0 || !stream_select($read, $none, $none, (int) $left, 1000)) {
                if ($left <= 0) {
                    throw new Exception('nothing came');
                }
                continue;
            }
            $more = fread($this->pipe, 65536);
            if ($more === '' || $more === false) {
                throw new Exception('the subscriber is gone');
            }
            $this->text .= $more;
        }
        $line = substr($this->text, 0, $newline);
        $this->text = substr($this->text, $newline + 1);
        return array_map('base64_decode', json_decode($line, true));
    }

    // expect waits for exactly these events, in this order.
    public function expect(array $all): void
    {
        foreach ($all as $i => $want) {
            same('event ' . ($i + 1) . ' of ' . count($all), $this->next(), $want);
        }
    }
}

function publish(string $name, string $payload, int $want): void
{
    global $pub;
    same("PUBLISH $name", $pub->publish(topic($name), $payload), $want);
}

// subscribed waits until a topic has a subscriber, or none.
function subscribed(string $name, int $want): void
{
    global $pub;
    eventually("$want subscribers of $name", fn () => (int) $pub->pubsub('numsub', [topic($name)])[topic($name)] === $want);
}

function publishMany(Subscriber $sub, string $payload): void
{
    $all = [];
    for ($i = 0; $i < MANY; $i++) {
        publish("many-$i", $payload, 1);
        $all[] = ['message', topic("many-$i"), $payload];
    }
    $sub->expect($all);
}

function listed(): ?string
{
    global $pub;
    foreach ($pub->client('list') as $client) {
        if ($client['name'] === NAME && (int) $client['sub'] >= MANY) {
            return (string) $client['id'];
        }
    }
    return null;
}

// numbered is a thousand messages, in turn for a topic and for the pattern.
function numbered(string $prefix): array
{
    $all = [];
    for ($i = 0; $i < THOUSAND; $i++) {
        $all[] = [topic($i % 2 ? "news.$i" : 'one'), $prefix . $i];
    }
    return $all;
}

function expectNumbered(array $messages): void
{
    global $sub, $psub;
    $topics = $patterns = [];
    foreach ($messages as $i => [$topic, $payload]) {
        if ($i % 2) {
            $patterns[] = ['pmessage', topic('news.*'), $topic, $payload];
        } else {
            $topics[] = ['message', $topic, $payload];
        }
    }
    $sub->expect($topics);
    $psub->expect($patterns);
}

$pub = $sub = $psub = $all = null;
$checks = [
    'connect' => function () use (&$pub) {
        $pub = connect();
        same('PING', $pub->ping(), true);
    },
    'subscribe' => function () use (&$pub, &$sub, &$psub) {
        $sub = new Subscriber('subscribe', [topic('one'), topic('two')]);
        subscribed('one', 1);
        subscribed('two', 1);
        $psub = new Subscriber('psubscribe', [topic('news.*')]);
        eventually('a pattern', fn () => $pub->pubsub('numpat') === 1);
    },
    'PUBLISH counts' => function () use (&$sub, &$psub) {
        publish('nobody', 'x', 0);
        publish('one', '', 1);
        publish('news.x', "\r\n\0\xff", 1);
        publish('two', 'last', 1);
        $sub->expect([['message', topic('one'), ''], ['message', topic('two'), 'last']]);
        $psub->expect([['pmessage', topic('news.*'), topic('news.x'), "\r\n\0\xff"]]);
    },
    'a thousand messages' => function () use (&$pub) {
        $messages = numbered('redis ');
        $pipeline = $pub->pipeline();
        foreach ($messages as [$topic, $payload]) {
            $pipeline->publish($topic, $payload);
        }
        same('PUBLISH', $pipeline->exec(), array_fill(0, THOUSAND, 1));
        expectNumbered($messages);
    },
    'a thousand lines' => function () use ($host, $port) {
        $messages = numbered('line, "quoted" ');
        $conn = stream_socket_client("tcp://$host:$port", $code, $error, PATIENCE);
        stream_set_timeout($conn, PATIENCE);
        $text = '';
        foreach ($messages as [$topic, $payload]) {
            $text .= "PUB $topic $payload\n";
        }
        same('bytes written', fwrite($conn, $text), strlen($text));
        foreach ($messages as [$topic]) {
            same('PUB', fgets($conn), "OK PUB $topic\n");
        }
        fclose($conn);
        expectNumbered($messages);
    },
    'unsubscribe' => function () use (&$pub, &$sub, &$psub) {
        publish('one', 'leave two', 1);
        subscribed('two', 0);
        publish('two', 'x', 0);
        publish('one', 'still', 1);
        $sub->expect([['message', topic('one'), 'leave two'], ['message', topic('one'), 'still']]);
        publish('news.x', 'leave all', 1);
        $psub->expect([['pmessage', topic('news.*'), topic('news.x'), 'leave all']]);
        eventually('no pattern', fn () => $pub->pubsub('numpat') === 0);
        publish('news.x', 'x', 0);
    },
    '2,000 topics at once' => function () use (&$all) {
        $all = new Subscriber('subscribe', array_map(fn ($i) => topic("many-$i"), range(0, MANY - 1)));
        subscribed('many-' . (MANY - 1), 1);
        publishMany($all, 'first');
    },
    'killed and back' => function () use (&$pub, &$all) {
        $id = listed();
        if ($id === null) {
            throw new Exception('CLIENT LIST: no subscriber has the name ' . NAME . ' in ' . json_encode($pub->client('list')));
        }
        same("CLIENT KILL ID $id", $pub->rawCommand('CLIENT', 'KILL', 'ID', $id), 1);
        eventually('the killed one out of CLIENT LIST', fn () => listed() !== $id);
        subscribed('many-' . (MANY - 1), 1);
        same('the loss', $all->next()[0], 'lost');
        publishMany($all, 'second');
    },
    'streams' => function () use (&$pub) {
        $stream = topic('stream');
        $entries = [];
        foreach (['0', '1', '2'] as $n) {
            $entries[$pub->xAdd($stream, '*', ['n' => $n])] = ['n' => $n];
        }
        same('XRANGE', $pub->xRange($stream, '-', '+'), $entries);
        same('XREAD', $pub->xRead([$stream => array_key_first($entries)], -1, 1000), [$stream => array_slice($entries, 1)]);
        same('XTRIM', $pub->xTrim($stream, 1), 2);
        same('DEL', $pub->del($stream), 1);
    },
];
$report = ['client' => 'phpredis', 'version' => phpversion('redis'), 'protocol' => 'RESP2', 'checks' => [], 'ok' => true];
foreach ($checks as $name => $check) {
    if ($name === 'a thousand lines' && getenv('CONCH') !== '1') {
        $report['checks'][] = ['name' => $name, 'ok' => true, 'skipped' => 'this server does not speak lines'];
        continue;
    }
    try {
        $check();
        $report['checks'][] = ['name' => $name, 'ok' => true];
    } catch (Throwable $e) {
        $report['checks'][] = ['name' => $name, 'ok' => false, 'error' => $e->getMessage()];
        $report['ok'] = false;
        break;
    }
}
foreach ([$sub, $psub, $all] as $process) {
    if ($process !== null) {
        posix_kill($process->pid, SIGKILL);
        pcntl_waitpid($process->pid, $status);
    }
}
echo json_encode($report, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), "\n";
exit($report['ok'] ? 0 : 1);
