<?php
// A shop's front controller around the README's edge.
require getenv('EDGE');
session_start();
ob_start();
if ($_SERVER['REQUEST_URI'] === '/order') sale(json_decode(file_get_contents('php://input'), true));
else echo visitor() ?? 'nobody';
